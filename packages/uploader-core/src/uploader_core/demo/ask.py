"""Ask a model a question, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def ask_folder(folder: Path, prompts: Sequence[str], *, tokens: int = 24) -> list[str]:
    """Answer prompts greedily with transformers.

    Args:
        folder: A model folder.
        prompts: What is asked.
        tokens: Most tokens of an answer.

    Returns:
        The answers' first lines.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answers = []
    for prompt in prompts:
        given = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(out[0, given.shape[1] :], skip_special_tokens=True)
        answers.append(_first_line(text))
    return answers


def ask_gguf(path: Path, prompt: str, *, tokens: int = 24) -> str:
    """Answer a prompt greedily with llama.cpp and return the first line."""
    from uploader_gguf import generate

    return _first_line(generate(path, prompt, max_tokens=tokens))


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].strip() if text.strip() else ""
