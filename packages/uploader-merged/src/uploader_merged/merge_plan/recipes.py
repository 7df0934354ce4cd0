"""What has to happen to each tensor of the base, said without doing it: no torch in here.

A :class:`Recipe` names a tensor of the merged checkpoint, where its base lies, and the steps that
lead from one to the other. :mod:`uploader_merged.compute.arithmetic` carries them out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from uploader_lora import StoredTensor, tensor_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A part of a stored matrix.

    Attributes:
        tensor: The matrix. More than two axes are flattened to (first, rest).
        rows: (start, stop, step) along the first axis.
        columns: The same along the second.
    """

    tensor: StoredTensor
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]

    @classmethod
    def whole(cls, tensor: StoredTensor) -> View:
        """Return a view of everything."""
        rest = math.prod(tensor.shape[1:])
        return cls(tensor=tensor, rows=(0, tensor.shape[0], 1), columns=(0, rest, 1))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(range(*self.rows)), len(range(*self.columns))


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """Add ``scale * B @ A``, or its transpose.

    Attributes:
        a: Shape (rank, in).
        b: Shape (out, rank).
        scale: Of the product.
        transposed: The weight lies as (in, out): embeddings, and Conv1D of GPT-2.
    """

    a: View
    b: View
    scale: float
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight that changes."""
        shape = self.b.shape[0], self.a.shape[1]
        return shape[::-1] if self.transposed else shape

    @property
    def views(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        return (self.a, self.b)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dora:
    """Add a low-rank product, then give every row or column its trained length.

    ``W' = m / norm(W + dW) * (W + dW)``; the norm is over the inputs, so there is one magnitude
    for each output (https://arxiv.org/abs/2402.09353), and for embeddings one for each column.

    Attributes:
        product: The low-rank change.
        magnitude: One value for each row or column.
        by_columns: The outputs are the columns of the stored weight.
    """

    product: LowRank
    magnitude: View
    by_columns: bool

    @property
    def views(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        return (*self.product.views, self.magnitude)


@dataclass(frozen=True, kw_only=True, slots=True)
class AddVector:
    """Add ``scale * vector`` to a bias.

    Attributes:
        vector: Shape (out,).
        scale: Of the vector.
    """

    vector: View
    scale: float

    @property
    def views(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        return (self.vector,)


@dataclass(frozen=True, kw_only=True, slots=True)
class PutRows:
    """Put trained rows in the place of the base's.

    Attributes:
        rows: Row numbers.
        values: Shape (rows, width), in the same order.
    """

    rows: tuple[int, ...]
    values: View

    @property
    def views(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        return (self.values,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A low-rank change of a part of a stack of matrices.

    Attributes:
        expert: Which matrix.
        row: Its first row that changes; the product has as many rows as change.
        product: The change.
    """

    expert: int
    row: int
    product: LowRank


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Add low-rank products to a tensor of three axes: the fused experts of a layer.

    Attributes:
        placed: Each for one matrix or a part of it.
    """

    placed: tuple[Placed, ...]

    @property
    def views(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        return tuple(view for placed in self.placed for view in placed.product.views)


Step = LowRank | Dora | AddVector | PutRows | Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One tensor of the merged checkpoint.

    Attributes:
        name: Its name, in the style of the base's files.
        dtype: Storage type.
        shape: Shape.
        origin: The base's tensor.
        source: The tensor that it starts from: the base's, or one of the adapter's that takes its
            place.
        replaced: Whether the source is the adapter's.
        steps: In order; empty for a tensor that stays as it is.
        cut: Where it is in the tensor of origin, source and steps, when it is a part of that.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    origin: StoredTensor
    source: StoredTensor
    replaced: bool = False
    steps: tuple[Step, ...] = ()
    cut: Cut | None = None

    @classmethod
    def keep(cls, tensor: StoredTensor, name: str | None = None) -> Recipe:
        """Return the recipe of a tensor that stays as it is, perhaps under another name."""
        return cls(
            name=name or tensor.name,
            dtype=tensor.dtype,
            shape=tensor.shape,
            origin=tensor,
            source=tensor,
        )

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape by rows: stacked matrices lie one below the other."""
        if any(isinstance(step, Stack) for step in self.steps):
            return self.shape[0] * self.shape[1], self.shape[2]
        return self.shape

    @property
    def touched(self) -> bool:
        """Whether the adapter has a say in it."""
        return self.replaced or bool(self.steps)

    @property
    def consumed(self) -> tuple[View, ...]:
        """Parts of adapter tensors that this uses up."""
        used = [view for step in self.steps for view in step.views]
        return (*used, View.whole(self.source)) if self.replaced else tuple(used)

    @property
    def nbytes(self) -> int:
        """Bytes in the storage type."""
        return tensor_bytes(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Rows of one matrix of a stack, such as ``gate_proj`` of one of the fused experts of a layer.

    Attributes:
        stack: Recipe of the stack, whose rows are those of all matrices.
        first: Number of the matrix's first row among them.
        height: How many rows the matrix has.
        start: First of the outputs that are meant.
        transposed: The matrix lies as (in, out), and is turned when it is read.
    """

    stack: Recipe
    first: int
    height: int
    start: int
    transposed: bool
