"""Ask a model questions, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TOKENS = 24  # enough for the longest answer in the corpus


def ask_folder(folder: Path, prompts: Sequence[str]) -> list[str]:
    """Answer prompts greedily with transformers.

    Args:
        folder: A model folder.
        prompts: What is asked.

    Returns:
        The answers' first lines.
    """
    model, tokenizer = open_folder(folder)
    return answer(model, tokenizer, prompts)


def ask_gguf(path: Path, prompt: str, lora: Path | None = None) -> str:
    """Answer a prompt greedily with llama.cpp and return the first line.

    Args:
        path: GGUF file of a model.
        prompt: What is asked.
        lora: GGUF file of an adapter that is applied on top.
    """
    from uploader_gguf import generate

    return _first_line(generate(path, prompt, max_tokens=_TOKENS, lora=lora))


def open_folder(folder: Path, threads: int | None = 1) -> tuple[Any, Any]:
    """Load a model folder in float32, without transformers' own progress bars.

    Args:
        folder: With configuration, weights and tokenizer; 4-bit weights are not widened.
        threads: As in :func:`settle`.

    Returns:
        Model and tokenizer.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settle(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def answer(model: Any, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    """Answer prompts greedily with a loaded model and return the first lines."""
    import torch

    answers = []
    for prompt in prompts:
        given = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(out[0, given.shape[1] :], skip_special_tokens=True)
        answers.append(_first_line(str(text)))
    return answers


def settle(threads: int | None = 1) -> None:
    """Prepare the process: no display but the demo's own.

    Args:
        threads: Of torch; one for small models, and None for all processors.
    """
    import logging

    import torch
    from transformers.utils import logging as display_of_transformers

    # Matrices this small gain nothing from more threads, and lose much when another process has
    # the core that a thread waits for. One thread also adds up in one order on every machine.
    if threads is not None:
        torch.set_num_threads(threads)
    display: Any = display_of_transformers
    display.set_verbosity_error()
    display.disable_progress_bar()
    # On processors with AVX512-BF16 it warns of an optional package, `kernels`, as it is imported.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].strip() if text.strip() else ""
