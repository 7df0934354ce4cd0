"""Cut a text into windows of tokens, with a fine-tune's own tokenizer. Heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - windows are tensors

from uploader_core.plugin import RefusedError, parse_json
from uploader_merged.load_proof.model_class import quiet


def open_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder, as transformers opens it; no code of its own is run.

    Raises:
        RefusedError: There is none that it can open.
    """
    import transformers

    with quiet():
        try:
            return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:
            raise RefusedError(
                f"transformers cannot open the tokenizer: {' '.join(str(error).split())[:200]}",
                owner=str(folder),
                next="keep tokenizer.json beside the adapter",
            ) from error


def texts_in(path: Path, tokenizer: Any) -> Iterable[str]:
    """Return the texts of a file: all of it, or each line of JSON Lines.

    A line has a ``text``, or ``messages`` (``conversations``) that the chat template renders, or
    ``prompt`` and ``completion``, as trainers' files have them.

    Raises:
        RefusedError: A line has none of them.
    """
    if path.suffix != ".jsonl":
        return [path.read_text("utf-8")]
    lines = path.read_text("utf-8").splitlines()
    return [_text(path, n, line, tokenizer) for n, line in enumerate(lines, 1) if line.strip()]


def _text(path: Path, number: int, line: str, tokenizer: Any) -> str:
    try:
        found = parse_json(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        if isinstance(found.get("text"), str):
            return str(found["text"])
        for key in ("messages", "conversations"):
            if isinstance(found.get(key), list):
                return str(tokenizer.apply_chat_template(found[key], tokenize=False))
        prompt, completion = found.get("prompt"), found.get("completion")
        if isinstance(prompt, list) and isinstance(completion, list):
            return str(tokenizer.apply_chat_template(prompt + completion, tokenize=False))
        if isinstance(prompt, str) and isinstance(completion, str):
            return prompt + completion
    raise RefusedError(
        f"line {number} of {path.name} has neither text nor messages nor prompt and completion",
        owner=str(path),
        next="write a JSON object with one of them on each line, or give a plain text",
    )


def cut(
    texts: Iterable[str], tokenizer: Any, size: int, most: int, *, owner: str, option: str
) -> list[torch.Tensor]:
    """Return windows of tokens, each of shape (1, size), that begin as the model's texts begin.

    Args:
        texts: One after the other, with the end token between them.
        tokenizer: Of the fine-tune.
        size: Tokens of a window.
        most: Windows.
        owner: Where the texts are from, for the error.
        option: That chose them, for the error.

    Raises:
        RefusedError: There are fewer tokens than a window has.
    """
    tokens: list[int] = []
    for text in texts:
        if tokens and tokenizer.eos_token_id is not None:
            tokens.append(tokenizer.eos_token_id)
        tokens += tokenizer(text, add_special_tokens=False)["input_ids"]
    count = min(len(tokens) // size, most)
    if count < 1:
        raise RefusedError(
            f"the text has {len(tokens)} tokens, and a window has {size}",
            owner=owner,
            safe="nothing was written",
            next=f"take a longer text with {option}",
        )
    first = tokenizer("")["input_ids"][:1]  # what the tokenizer itself puts before a text
    windows = []
    for number in range(count):
        window = tokens[number * size : (number + 1) * size]
        if first and first[0] != tokenizer.eos_token_id:
            window[0] = first[0]
        windows.append(torch.tensor([window]))
    return windows
