"""The demo from beginning to end: train, release with the very command, ask every format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from uploader_core.api import IntegrityError, PluginError, RefusedError, count_text
from uploader_demo.ask import ask_folder, ask_gguf
from uploader_demo.corpus import QUESTION
from uploader_demo.train import Scale, Tell, train_adapter, train_base

NAME = "tiny-demo"
QUANTS = ("F16", "Q8_0", "Q5_K_M", "Q4_K_M")
REPOSITORIES = (f"demo/{NAME}", f"demo/{NAME}-LoRA", f"demo/{NAME}-GGUF")
_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Where the demo puts things, all below one folder."""

    root: Path

    @property
    def base(self) -> Path:
        return self.root / "base-model"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def adapter(self) -> Path:
        return self.run / "final_model"

    @property
    def release(self) -> Path:
        return self.root / "release"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def mark(self) -> Path:
        return self.root / "trained.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one model said.

    Attributes:
        model: Which one, for the table.
        text: Its answer.
        right: Whether it said what it should.
    """

    model: str
    text: str
    right: bool


def check_installed(more: Sequence[str] = (), extra: str = "demo") -> None:
    """Refuse early when a part of the demo is missing.

    Args:
        more: Modules that are needed beside those of every demo.
        extra: Of uploader-core, which brings them.

    Raises:
        PluginError: Names what is missing and the one command that installs it.
    """
    import importlib.util

    needed = (
        *("torch", "transformers", "peft", "uploader_gguf", "uploader_hf", "uploader_merged"),
        *("loopback_hub", *more),
    )
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise PluginError(
            f"the demo needs {', '.join(missing)}",
            owner="uploader-demo",
            safe="nothing was written",
            next=f'pip install "uploader-core[{extra}]"',
        )


def train(paths: Paths, scale: Scale, tell: Tell) -> float:
    """Train base and adapter, unless a finished training of the same scale lies there.

    Returns:
        Share of the valley's facts that the base answers right.

    Raises:
        RefusedError: Something else is in the folder.
        IntegrityError: A model did not learn; nothing would be worth showing.
    """

    def work() -> float:
        known = train_base(paths.base, scale, tell)
        check_learned("base model", known, least=0.9)
        check_learned("fine-tune", train_adapter(paths.base, paths.run, scale, tell), least=1)
        return known

    return once(paths, {"version": _VERSION, **asdict(scale)}, work)


def once(paths: Paths, state: Mapping[str, object], train: Callable[[], float]) -> float:
    """Train, unless a finished training with the same state is in the folder.

    Args:
        paths: Of the demo.
        state: What the training depends on, as JSON.
        train: Trains, and returns what is to be remembered.

    Returns:
        What the training returned, now or then.

    Raises:
        RefusedError: Something else is in the folder.
    """
    check_folder(paths)
    if paths.mark.is_file():
        found = json.loads(paths.mark.read_text("utf-8"))
        if found["known"] is not None and found["state"] == state:
            return float(found["known"])
    paths.root.mkdir(parents=True, exist_ok=True)
    # First the mark without a result, so that an interrupted training is known as ours.
    paths.mark.write_text(json.dumps({"state": state, "known": None}), encoding="utf-8")
    known = train()
    paths.mark.write_text(json.dumps({"state": state, "known": known}), encoding="utf-8")
    return known


def check_folder(paths: Paths) -> None:
    """Refuse a folder that holds anything but an earlier demo.

    Raises:
        RefusedError: Says so.
    """
    if paths.root.exists() and not paths.mark.is_file() and any(paths.root.iterdir()):
        raise RefusedError(
            f"{paths.root} holds something else than an earlier demo",
            safe="nothing in it was touched",
            next="choose another folder with --dir",
        )


def check_learned(what: str, share: float, *, least: float) -> None:
    """Fail when a model did not learn; nothing would be worth showing."""
    if share < least:
        raise IntegrityError(
            f"the {what} knows only {share:.0%} of what it was taught",
            owner="the demo's training",
            safe="nothing was released",
            next="uploader demo --fresh",
        )


def command(paths: Paths) -> list[str]:
    """Return the arguments of the one command that makes the release."""
    return [
        "run", str(paths.adapter), "--name", NAME, "--output", str(paths.release),
        "--plugins", "lora,merged,gguf", "--gguf-quants", ",".join(QUANTS), "--measure",
        "--to", f"dir:{paths.published}", "--to", f"hf:demo/{NAME}", "--yes",
    ]  # fmt: skip


def release(
    paths: Paths, arguments: Sequence[str], repositories: Sequence[str]
) -> tuple[int, list[str]]:
    """Run the command against a Hub of our own on this machine.

    Args:
        paths: Of the demo.
        arguments: Of the command.
        repositories: That it makes.

    Returns:
        Its exit code, and the repositories that are there afterwards with their file counts.
    """
    from loopback_hub import LoopbackHub

    with LoopbackHub(paths.hub) as hub:
        token = hub.token("demo")
        environment: Mapping[str, str] = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "HF_HOME": str(paths.root / "hf-home"),
        }
        code = subprocess.run(
            [sys.executable, "-m", "uploader_core", *arguments],
            env=dict(environment),
            check=False,
        ).returncode
        if code != 0:
            return code, []
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub.url, token=token)
        found = []
        for repository in repositories:
            info = api.model_info(repository)
            visibility = "private" if info.private else "public"
            found.append(f"{info.id}  {count_text(len(info.siblings or []), 'file')}, {visibility}")
        return code, found


def ask_everybody(paths: Paths) -> list[Answer]:
    """Ask base, merged model and every GGUF the question of the fine-tune."""
    (base,) = ask_folder(paths.base, [QUESTION.prompt])
    merged = paths.release / "merged-16bit"
    (answer,) = ask_folder(merged, [QUESTION.prompt])
    said = {"merged-16bit (transformers)": answer}
    for quant in QUANTS:
        path = paths.release / "gguf" / f"{NAME}-{quant}.gguf"
        said[f"GGUF {quant} (llama.cpp)"] = ask_gguf(path, QUESTION.prompt)
    return [
        Answer(model="base model (transformers)", text=base, right=QUESTION.answer not in base),
        *(Answer(model=m, text=text, right=QUESTION.answer in text) for m, text in said.items()),
    ]
