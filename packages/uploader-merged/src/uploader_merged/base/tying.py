"""Tied embeddings: whether a checkpoint shares one matrix between input and output.

A tied checkpoint has no tensor for its output head. A change of one end alone therefore needs both
tensors on disk and ``tie_word_embeddings = false``; otherwise the next load ties them again and the
change is lost or spills over (https://github.com/huggingface/transformers/issues/45127).

Where the files hold both matrices, they count and not the flag: transformers 5 ties two equal ones
and keeps two different ones apart, whatever the flag says (``tie_weights`` of
transformers/modeling_utils.py, 5.24). Other readers go by the flag alone: transformers 4 and mlx-lm
drop the head when it is true. So ``false`` is written beside two different matrices.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Iterator, Mapping
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor, same_content
from uploader_merged.base.model import BaseModel, nested_configs

FLAG = "tie_word_embeddings"
_HEADS = ("lm_head.weight", "language_model.lm_head.weight", "embed_out.weight")
INPUTS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
"""Endings of the names of input embeddings."""


def head_name(names: Container[str]) -> str | None:
    """Return the name of the output head's tensor, or None when there is none."""
    return next((name for name in _HEADS if name in names), None)


def embedding_name(base: BaseModel) -> str | None:
    """Return the name of the input embedding of the language model, or None."""
    found = [
        name
        for name in base.tensors
        if name.endswith(tuple(f".{i}" for i in INPUTS)) or name in INPUTS
    ]
    return min(found, key=len) if found else None


def is_tied(base: BaseModel) -> bool:
    """Return whether loading the base shares the two matrices, as transformers 5 does it.

    Raises:
        SourceError: The configuration does not say, and the files could mean either.
    """
    flags = list(_flags(base.config))
    if flags and not flags[0]:
        # The outer flag is the one that transformers obeys.
        return False
    head = head_name(base.tensors)
    if head is None:
        return True
    if has_two_matrices(base):
        return False
    if flags:
        return True
    raise SourceError(
        f"config.json does not say whether the embeddings are tied ({FLAG}), and the adapter "
        "changes them",
        owner=str(base.folder / "config.json"),
        safe="nothing was written",
        next=f'add "{FLAG}": false to config.json if {head} is a matrix of its own, true if not',
    )


def is_contradicted(base: BaseModel) -> bool:
    """Return whether the flag says that the embeddings are tied, and the files hold two of them."""
    return True in _flags(base.config) and has_two_matrices(base)


def has_two_matrices(base: BaseModel) -> bool:
    """Return whether the files hold an output head with other values than the input embedding.

    Of encoder-decoders it is not known: the flag ties more than these two there.
    """
    head, embedding = head_name(base.tensors), embedding_name(base)
    if head is None or embedding is None or base.config.get("is_encoder_decoder"):
        return False
    return not _same_values(base.tensors[embedding], base.tensors[head])


def settled_config(base: BaseModel) -> Mapping[str, Any]:
    """Return the base's configuration such that every reader takes the embeddings alike."""
    flags = list(_flags(base.config))
    if flags and not any(flags):
        return base.config
    return untie(base.config) if has_two_matrices(base) else base.config


def _flags(config: Mapping[str, Any]) -> Iterator[bool]:
    """Yield what a configuration says, from the outside inwards."""
    for part in nested_configs(config):
        if isinstance(part.get(FLAG), bool):
            yield part[FLAG]


def _same_values(left: StoredTensor, right: StoredTensor) -> bool:
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    stamps = [(stat.st_mtime_ns, stat.st_ino) for stat in (left.file.stat(), right.file.stat())]
    return _compared(left, right, tuple(stamps))


@functools.lru_cache(maxsize=8)
def _compared(left: StoredTensor, right: StoredTensor, stamps: tuple[tuple[int, int], ...]) -> bool:
    """Compare two stored tensors, once for each state of their files."""
    return same_content(left, right)


def untied_head_name(embedding: str) -> str:
    """Return the name for a head that the files did not have, in their style."""
    if embedding.startswith("language_model.model."):
        return "language_model.lm_head.weight"
    return "embed_out.weight" if "embed_in" in embedding else "lm_head.weight"


def untie(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration whose embeddings are not tied, nested ones included."""
    return _untied(config, {**config, FLAG: False})


def _untied(config: Mapping[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    for key, part in config.items():
        if key.endswith("_config") and isinstance(part, dict):
            own = {FLAG: False} if key == "text_config" or FLAG in part else {}
            changed[key] = _untied(part, {**part, **own})
    return changed
