"""A tensor of a quantised base, as if it were one in 16 bits. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_lora import StoredTensor

DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""Types by the names that configurations have for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedTensor(StoredTensor):
    """A tensor that has to be widened when it is read.

    ``dtype``, ``shape`` and ``nbytes`` are those of the widened tensor; ``file`` and ``offset``
    tell where the codes lie.

    Attributes:
        codes: 4-bit codes as bytes, or fp8 values.
        parts: What belongs to them by name (``absmax``, ``scale``, ...).
        block: Weights that share a scale: (count,) of flat ones for 4 bits, (rows, columns) for
            fp8.
        nested_block: Scales that share a scale; 0 when scales are not quantised.
        nested_offset: Added to scales that were quantised.
    """

    codes: StoredTensor
    parts: tuple[tuple[str, StoredTensor], ...]
    block: tuple[int, ...]
    nested_block: int = 0
    nested_offset: float = 0.0

    def part(self, name: str) -> StoredTensor:
        """Return a part; KeyError when there is none."""
        return dict(self.parts)[name]
