"""Add a low-rank product to rows of a weight: in one pass with the compiled kernels, or in torch.

Heavy: imports torch. Both give the same bits, those of peft in float32.
"""

from __future__ import annotations

import functools
import math

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_merged.compute.tensors import DTYPES, ViewLoader, row_blocks
from uploader_merged.merge_plan.recipes import LowRank, Recipe

BLOCK = 1 << 18
"""Elements of a tensor that are merged at once: all that is computed fits a core's own cache."""

_NARROW = 16
"""Rows or columns up to which libraries of linear algebra sum in another order than in the middle
of a large matrix (MKL: 3 rows, 8 columns; 7 rows in two threads), and a multiple of the rows that
they compute together (MKL without vector instructions: 4)."""

_TRIED = 4 * _NARROW - 1
"""Rows of a product that is compared with torch's: some are left over from every tile."""

_SPELLED = {DTYPES[name]: name for name in uploader_kernels.STORED}

FAST = frozenset(_SPELLED.values())
"""Types that the kernels read and write, as safetensors spells them."""


class AddLowRank:
    """``W + (B @ A) * scale``."""

    def __init__(
        self, recipe: Recipe, step: LowRank, dtype: torch.dtype, views: ViewLoader
    ) -> None:
        self._a = views.load(step.a, dtype)
        self._b = views.load(step.b, dtype)
        self._scale = step.scale
        self._transposed = step.transposed
        self._room = uploader_kernels.room_for(*self._a.shape)
        self._scratch = views.scratch

    def apply(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        shape = value.shape
        total = self._scratch.take("sum", shape, self._a.dtype)
        if total.data_ptr() != value.data_ptr():
            total.copy_(value)
        delta = self.product(start, stop)
        if _is_power_of_two(self._scale):
            # The product with it is exact, so one rounding less cannot be seen.
            return total.add_(delta.view(shape), alpha=self._scale)
        return total.add_(delta.mul_(self._scale).view(shape))

    def store(
        self, kernels: uploader_kernels.Library, stored: torch.Tensor, start: int, out: torch.Tensor
    ) -> bool:
        """Add to rows and store them rounded, without a sum in memory.

        Args:
            kernels: The compiled ones.
            stored: Rows in one of :data:`FAST` types.
            start: Number of the first.
            out: For the result, in another of these types or the same.

        Returns:
            Whether everything is finite; what is stored is of no use otherwise.
        """
        stored = stored.contiguous()
        if self.sums_as(kernels):
            return self._add_product(kernels, stored, start, out)
        finite = True
        for low, high in row_blocks(tuple(stored.shape), BLOCK):
            delta = self.product(start + low, start + high)
            finite &= uploader_kernels.add_scaled(
                kernels,
                _address(stored[low:high]),
                delta.data_ptr(),
                self._scale,
                _address(out[low:high]),
                delta.numel(),
            )
        return finite

    def _add_product(
        self, kernels: uploader_kernels.Library, stored: torch.Tensor, start: int, out: torch.Tensor
    ) -> bool:
        b = self._b[start : start + stored.shape[0]]
        room = self._scratch.take("panels", (self._room,), torch.float32)
        return bool(
            uploader_kernels.add_product(
                kernels,
                _address(stored),
                (b.data_ptr(), self._a.data_ptr()),
                self._scale,
                _address(out),
                (b.shape[0], *self._a.shape),
                room.data_ptr(),
            )
        )

    def sums_as(self, kernels: uploader_kernels.Library) -> bool:
        """Return whether the kernels' product has the bits of torch's here."""
        if self._transposed or min(self._b.shape[0], self._a.shape[1]) < _NARROW:
            return False
        return _same_product(kernels, *self._a.shape)

    def product(self, start: int, stop: int) -> torch.Tensor:
        """Return rows of ``B @ A``, or of its transpose, with the bits of the whole product."""
        if self._transposed:
            low, high = _wide_enough(start, stop, self._a.shape[1], self._b.shape[0])
            delta = (self._b @ self._a[:, low:high])[:, start - low : stop - low]
            return delta.T.contiguous()
        low, high = _wide_enough(start, stop, self._b.shape[0], self._a.shape[1])
        delta = self._scratch.take("delta", (high - low, self._a.shape[1]), self._a.dtype)
        torch.mm(self._b[low:high], self._a, out=delta)
        return delta[start - low : stop - low]


def _wide_enough(start: int, stop: int, length: int, other: int) -> tuple[int, int]:
    """Widen a slice of a product until its bits are those of the whole.

    A library computes a product in tiles of a few rows from the first on, and rows that are left
    over at the end in another way, so a slice has to begin and end where tiles do.

    Args:
        start: First row that is wanted.
        stop: The row after the last.
        length: Rows of the whole product.
        other: Its columns; of a narrow one, all rows are computed.
    """
    if other < _NARROW:
        return 0, length
    low = start // _NARROW * _NARROW
    high = min(length, -(-stop // _NARROW) * _NARROW)
    return (low if high - low >= _NARROW else max(0, low - _NARROW)), high


def _address(tensor: torch.Tensor) -> tuple[int, str]:
    return tensor.data_ptr(), _SPELLED[tensor.dtype]


@functools.cache
def _same_product(kernels: uploader_kernels.Library, rank: int, columns: int) -> bool:
    """Ask torch for a product of this width, and compare it bit by bit.

    In which order a library of linear algebra sums depends on its build, the processor, the rank
    and the columns, so this is found out in every process, on numbers that nearly all round
    differently in another order.
    """
    random = torch.Generator().manual_seed(1)
    b = torch.randn((_TRIED, rank), generator=random)
    a = torch.randn((rank, columns), generator=random)
    # What is added to -0.0 keeps its sign, that of zeros as well.
    stored = torch.full((_TRIED, columns), -0.0)
    out = torch.empty_like(stored)
    room = torch.empty(uploader_kernels.room_for(rank, columns))
    done = uploader_kernels.add_product(
        kernels,
        (stored.data_ptr(), "F32"),
        (b.data_ptr(), a.data_ptr()),
        1.0,
        (out.data_ptr(), "F32"),
        (_TRIED, rank, columns),
        room.data_ptr(),
    )
    return bool(done) and torch.equal(out.view(torch.int32), (b @ a).view(torch.int32))


def _is_power_of_two(scale: float) -> bool:
    return abs(math.frexp(scale)[0]) == 0.5
