"""Tied embeddings: whether a checkpoint shares one matrix between input and output.

A tied checkpoint has no tensor for its output head. A change of one end alone therefore needs both
tensors on disk and ``tie_word_embeddings = false``; otherwise the next load ties them again and the
change is lost or spills over (https://github.com/huggingface/transformers/issues/45127).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploader_core.plugin import SourceError
from uploader_merged.base import BaseModel

FLAG = "tie_word_embeddings"
_HEADS = ("lm_head.weight", "language_model.lm_head.weight", "embed_out.weight")
_INPUTS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")


def head_name(base: BaseModel) -> str | None:
    """Return the name of the output head's tensor, or None when the files have none."""
    return next((name for name in _HEADS if name in base.tensors), None)


def embedding_name(base: BaseModel) -> str | None:
    """Return the name of the input embedding of the language model, or None."""
    found = [
        name
        for name in base.tensors
        if name.endswith(tuple(f".{i}" for i in _INPUTS)) or name in _INPUTS
    ]
    return min(found, key=len) if found else None


def is_tied(base: BaseModel) -> bool:
    """Tell whether loading the base shares the two matrices.

    Raises:
        SourceError: The configuration does not say, and the files could mean either.
    """
    flags = [
        part[FLAG]
        for part in (base.config, base.config.get("text_config"))
        if isinstance(part, dict) and isinstance(part.get(FLAG), bool)
    ]
    if flags:
        # The outer flag is the one that transformers obeys.
        return bool(flags[0])
    if head_name(base) is None:
        return True
    raise SourceError(
        f"config.json does not say whether the embeddings are tied ({FLAG}), and the adapter "
        "changes them",
        owner=str(base.folder / "config.json"),
        safe="nothing was written",
        next=f'add "{FLAG}": false to config.json if {head_name(base)} is a matrix of its own, '
        "true if not",
    )


def untied_head_name(embedding: str) -> str:
    """Return the name for a head that the files did not have, in their style."""
    if embedding.startswith("language_model.model."):
        return "language_model.lm_head.weight"
    return "embed_out.weight" if "embed_in" in embedding else "lm_head.weight"


def untie(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration whose embeddings are not tied, nested ones included."""
    changed = {**config, FLAG: False}
    text = config.get("text_config")
    if isinstance(text, dict):
        changed["text_config"] = {**text, FLAG: False}
    return changed
