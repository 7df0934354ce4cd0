"""The low-rank matrices that come nearest to a difference of two matrices. Heavy.

The difference is never in memory where it is large: it is made again, in blocks of rows, for each
product that the decomposition needs (https://arxiv.org/abs/0909.4061, algorithms 4.4 and 5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch  # noqa: TID253 - this module computes

from uploader_merged.compute.tensors import row_blocks

_BLOCK = 1 << 22
_KEPT = 1 << 25
"""Elements of a difference that is kept in memory; a larger one is made again."""

_MORE = 16
_ROUNDS = 6
"""Directions beyond the rank, and products with the matrix, that make the result near the best."""

_SEED = 1

Rows = Callable[[int, int], torch.Tensor]
"""Returns rows of the difference in float32."""


class Difference:
    """A matrix that is made of rows when it is asked for.

    Args:
        rows: Makes rows.
        shape: Of the whole.
    """

    def __init__(self, rows: Rows, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._rows = rows
        self._whole: torch.Tensor | None = None
        if shape[0] * shape[1] <= _KEPT:
            self._whole = torch.cat([block for _, _, block in self.blocks()])

    def blocks(self) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield first row, row behind the last one, and the rows."""
        for start, stop in row_blocks(self.shape, _BLOCK):
            kept = self._whole
            yield start, stop, self._rows(start, stop) if kept is None else kept[start:stop]

    def times(self, right: torch.Tensor) -> torch.Tensor:
        """Return the product with a matrix of few columns."""
        return torch.cat([block @ right for _, _, block in self.blocks()])

    def transposed_times(self, right: torch.Tensor) -> torch.Tensor:
        """Return the product of the transpose with a matrix of few columns."""
        total = torch.zeros(self.shape[1], right.shape[1])
        for start, stop, block in self.blocks():
            total += block.T @ right[start:stop]
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """``left @ right`` in the place of a difference.

    Attributes:
        left: Shape (rows, rank).
        right: Shape (rank, columns).
        error: Frobenius norm of what is missing, as a part of that of the difference.
    """

    left: torch.Tensor
    right: torch.Tensor
    error: float


def nearest(difference: Difference, rank: int, dtype: torch.dtype) -> Factors | None:
    """Return factors near the best of a rank; None where there is no difference.

    Args:
        difference: What to replace.
        rank: Of the factors; rows of zeros where the difference has a smaller one.
        dtype: That they are stored in; the error is that of the stored ones.
    """
    rows, columns = difference.shape
    width = min(rank + _MORE, rows, columns)
    start = torch.randn(columns, width, generator=torch.Generator().manual_seed(_SEED))
    basis = _orthonormal(difference.times(start))
    for _ in range(_ROUNDS):
        basis = _orthonormal(difference.times(_orthonormal(difference.transposed_times(basis))))
    inner, strength, outer = torch.linalg.svd(
        difference.transposed_times(basis).T, full_matrices=False
    )
    kept = min(rank, width)
    root = strength[:kept].sqrt()
    left, right = torch.zeros(rows, rank), torch.zeros(rank, columns)
    left[:, :kept] = (basis @ inner[:, :kept]) * root
    right[:kept] = root[:, None] * outer[:kept]
    left, right = left.to(dtype), right.to(dtype)
    missing, whole = 0.0, 0.0
    for first, last, block in difference.blocks():
        whole += float(block.double().square().sum())
        missing += float((block - left[first:last].float() @ right.float()).double().square().sum())
    return None if whole == 0 else Factors(left=left, right=right, error=(missing / whole) ** 0.5)


def _orthonormal(matrix: torch.Tensor) -> torch.Tensor:
    basis: torch.Tensor = torch.linalg.qr(matrix).Q
    return basis
