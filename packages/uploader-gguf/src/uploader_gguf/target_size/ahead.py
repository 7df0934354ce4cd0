"""Say in a plan what a target size will give: the mixture is chosen there, in a child process.

What it takes is llama.cpp's converter and a few seconds of quantising samples, which no light
function may import. The step chooses again and comes to the same result. Where an importance matrix
is to be computed first, or where measuring takes longer than a plan may, only the smallest possible
file is known, or nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding, PlanContext, PluginError, RefusedError, parse_json
from uploader_gguf.llama_cpp.child import child_environment
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.settings import GgufSettings
from uploader_gguf.target_size.wish import TargetSize
from uploader_gguf.writing import sizes

_SECONDS = 45.0
"""What choosing may take while planning; core interrupts a check after a minute."""

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|KEY|CREDENTIAL", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of the file before the run.

    Attributes:
        nbytes: Its bytes, at most.
        findings: For the plan.
    """

    nbytes: int
    findings: tuple[Finding, ...]


def look_ahead(context: PlanContext, wish: TargetSize) -> Known:
    """Choose the mixture, or say why that has to wait.

    Args:
        context: Of a check or an estimate; both get the same answer, and the first one waits.
        wish: The size.

    Raises:
        RefusedError: The model cannot be so small.
    """
    checkpoint = context.input("checkpoint")
    settings: GgufSettings = context.settings
    request = {
        "checkpoint": {"path": str(checkpoint.path), "metadata": dict(checkpoint.metadata)},
        "release": dataclasses.asdict(context.release),
        "settings": _plain(dataclasses.asdict(settings)),
    }
    answer = _ask(json.dumps(request, sort_keys=True), _state(checkpoint.metadata, settings))
    if answer is None:
        model = sizes.describe(open_weights(checkpoint))
        budget = wish.budget(sum(prod(tensor.shape) for tensor in model.tensors.values()))
        what = (
            f"{wish.label}: measuring takes longer than a plan may, so the step chooses the types"
        )
        return Known(nbytes=budget, findings=(Finding(level="note", what=what),))
    if "refused" in answer:
        raise RefusedError(
            answer["refused"],
            owner="option --gguf-target-size",
            safe="nothing was written",
            next=answer["next"],
        )
    return Known(nbytes=answer["bytes"], findings=tuple(_findings(wish, answer)))


def _findings(wish: TargetSize, answer: Mapping[str, Any]) -> Iterator[Finding]:
    if "summary" not in answer:
        yield Finding(
            level="note",
            what=f"{wish.label}: at most {answer['bytes']:,} bytes; the step chooses the types when"
            " the importance matrix is there",
        )
        return
    text = f"{wish.label}: {answer['bytes']:,} bytes, {answer['bits']:.3f} bits per weight, "
    text += answer["summary"]
    if answer["stock"]:
        name, share = answer["stock"]
        text += f"; predicted error {share:.2f} of {name}'s, the largest stock mixture that fits"
    yield Finding(level="note", what=text)
    if answer["largest"]:
        yield Finding(
            level="note",
            what=f"{wish.label} is more than this model needs: every tensor has its best type in"
            f" {answer['bytes']:,} bytes",
        )


@functools.lru_cache(maxsize=8)
def _ask(request: str, state: tuple[Any, ...]) -> Any:
    """Let a child choose; None when it takes too long.

    Args:
        request: JSON.
        state: Of the files; only so that changed files are looked at again.

    Raises:
        PluginError: The child failed, with the end of what it said.
    """
    environment = {k: v for k, v in child_environment().items() if not _SECRET.search(k)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uploader_gguf.target_size.child"],
            input=request,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**environment, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise PluginError(
            f"the types for --gguf-target-size could not be chosen: {said[-1]}",
            owner="uploader-gguf",
            safe="nothing was written",
            next="leave --gguf-target-size away, and report it",
        )
    return parse_json(lines[-1])


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}


def _state(metadata: Mapping[str, Any], settings: GgufSettings) -> tuple[Any, ...]:
    """Return size and time of every file that the choice depends on."""
    adapters = metadata.get("adapters")
    folders = [metadata.get("base"), *(pair[0] for pair in adapters or () if pair)]
    files = [path for folder in folders if folder for path in sorted(Path(str(folder)).iterdir())]
    if settings.imatrix is not None:
        files.append(settings.imatrix)
    stats = ((os.fspath(path), path.stat()) for path in files)
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
