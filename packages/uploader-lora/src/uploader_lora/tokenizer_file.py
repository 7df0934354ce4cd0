"""``tokenizer.json``, with the form that every reader of it counts on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora.stored import MAX_TOKENIZER, read_json


def read_tokenizer(path: Path) -> dict[str, Any]:
    """Read a ``tokenizer.json``.

    Args:
        path: The file.

    Raises:
        SourceError: It cannot be read, or a part of it is not what tokenizers writes.
    """
    tokenizer = read_json(path, MAX_TOKENIZER)
    model = tokenizer.get("model") or {}
    if not isinstance(model, dict):
        raise strange_form(path, "model")
    for name, is_one in _OF_MODEL.items():
        if not is_one(model.get(name) or []):
            raise strange_form(path, f"model.{name}")
    for name, is_one in _PARTS.items():
        if not is_one(tokenizer.get(name) or {}):
            raise strange_form(path, name)
    return tokenizer


def _is_vocabulary(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(number) is int for number in value.values())
    # Unigram: pairs of piece and score.
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )


def _are_merges(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(merge, str) or (isinstance(merge, list) and [*map(type, merge)] == [str, str])
        for merge in value
    )


def _are_tokens(value: Any) -> bool:
    return not value or (
        isinstance(value, list)
        and all(isinstance(t, dict) and isinstance(t.get("content"), str) for t in value)
    )


def _is_part(value: Any) -> bool:
    """Return whether it is a normaliser or a pre-tokenizer, alone or a sequence of them."""
    if not isinstance(value, dict):
        return False
    children = [value.get("normalizers") or [], value.get("pretokenizers") or []]
    return all(isinstance(some, list) and all(map(_is_part, some)) for some in children)


_OF_MODEL: dict[str, Callable[[Any], bool]] = {"vocab": _is_vocabulary, "merges": _are_merges}
_PARTS: dict[str, Callable[[Any], bool]] = {
    "added_tokens": _are_tokens,
    "normalizer": _is_part,
    "pre_tokenizer": _is_part,
}


def strange_form(path: Path, what: str) -> SourceError:
    """Return the error for a part of a tokenizer's file that nobody can read.

    Args:
        path: The file.
        what: The part.
    """
    return SourceError(
        f"{path.name} cannot be used: {what} is not of the form that tokenizers writes",
        owner=str(path),
        safe="nothing was written",
        next=f"download or save {path.name} again",
    )
