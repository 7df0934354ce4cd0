"""What has to happen to each tensor of the base, said without doing it: no torch in here.

A :class:`Recipe` names a tensor of the merged checkpoint, where its base lies, and the steps that
lead from one to the other. :mod:`uploader_merged.arithmetic` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from uploader_lora import StoredTensor, tensor_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """Add ``scale * B @ A``, or its transpose.

    Attributes:
        a: Shape (rank, in).
        b: Shape (out, rank).
        scale: Of the product.
        transposed: The weight lies as (in, out): embeddings, and Conv1D of GPT-2.
    """

    a: StoredTensor
    b: StoredTensor
    scale: float
    transposed: bool = False

    @property
    def tensors(self) -> tuple[StoredTensor, ...]:
        """Adapter tensors that this uses up."""
        return (self.a, self.b)


Step = LowRank


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One tensor of the merged checkpoint.

    Attributes:
        name: Its name, in the style of the base's files.
        dtype: Storage type.
        shape: Shape.
        source: The tensor that it starts from: the base's, or one of the adapter's that takes its
            place.
        replaced: Whether the source is the adapter's.
        steps: In order; empty for a tensor that stays as it is.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: StoredTensor
    replaced: bool = False
    steps: tuple[Step, ...] = ()

    @classmethod
    def keep(cls, tensor: StoredTensor, name: str | None = None) -> Recipe:
        """Return the recipe of a tensor that stays as it is, perhaps under another name."""
        return cls(name=name or tensor.name, dtype=tensor.dtype, shape=tensor.shape, source=tensor)

    @property
    def touched(self) -> bool:
        """Whether the adapter has a say in it."""
        return self.replaced or bool(self.steps)

    @property
    def consumed(self) -> tuple[StoredTensor, ...]:
        """Adapter tensors that this uses up."""
        used = [tensor for step in self.steps for tensor in step.tensors]
        return (*used, self.source) if self.replaced else tuple(used)

    @property
    def nbytes(self) -> int:
        """Bytes in the storage type."""
        return tensor_bytes(self.dtype, self.shape)
