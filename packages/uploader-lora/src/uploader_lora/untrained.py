"""An adapter that changes nothing, as it is before the first step of its training."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import CHUNK, Finding, StoredTensor
from uploader_lora.adapter import Adapter

_FIRST = 4096
"""Bytes; what was trained shows in the first of them."""

# What PEFT begins with zeros, and what has no effect while that is zero.
_BEGUN_WITH_ZEROS = (".lora_B.", ".lora_embedding_A")
_WITHOUT_EFFECT = (".lora_A.", ".lora_embedding_B", ".lora_magnitude_vector")


def untrained_findings(adapter: Adapter) -> Iterator[Finding]:
    """Warn of an adapter with which every answer is the base model's.

    Of one that was trained a few kilobytes are read.

    Args:
        adapter: The adapter.
    """
    begun, others = [], []
    for name, tensor in adapter.tensors.items():
        if any(part in f"{name}." for part in _BEGUN_WITH_ZEROS):
            begun.append(tensor)
        elif not any(part in f"{name}." for part in _WITHOUT_EFFECT):
            others.append(name)
    if begun and not others and all(map(_is_zero, begun)):
        yield Finding(
            level="warning",
            what=f"every answer with this adapter is the base model's: {begun[0].name} and all "
            "others like it are zero, as before the first step of a training",
            next="release the folder that the training saved at its end; where that is this one, "
            "look at whether the trained parameters were saved (model.save_pretrained of the "
            "PEFT model)",
        )


def _is_zero(tensor: StoredTensor) -> bool:
    with tensor.file.open("rb") as file:
        file.seek(tensor.offset)
        left, size = tensor.nbytes, _FIRST
        while left:
            data = file.read(min(size, left))
            if not data or data.count(0) != len(data):
                return False
            left, size = left - len(data), CHUNK
    return True
