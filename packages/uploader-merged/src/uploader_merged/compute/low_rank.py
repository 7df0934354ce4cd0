"""Add a low-rank product to rows of a weight: in one pass with the compiled kernels, or in torch.

Heavy: imports torch. Both give the same bits, those of peft in float32.
"""

from __future__ import annotations

import math

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_merged.compute.tensors import DTYPES, ViewLoader
from uploader_merged.merge_plan.recipes import LowRank, Recipe

_NARROW = 16
"""Rows or columns up to which libraries of linear algebra sum in another order than in the middle
of a large matrix (MKL: 3 rows, 8 columns; 7 rows in two threads)."""

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
        delta = self.product(start, start + stored.shape[0])
        return uploader_kernels.add_scaled(
            kernels,
            (stored.data_ptr(), _SPELLED[stored.dtype]),
            delta.data_ptr(),
            self._scale,
            (out.data_ptr(), _SPELLED[out.dtype]),
            stored.numel(),
        )

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

    Args:
        start: First row that is wanted.
        stop: The row after the last.
        length: Rows of the whole product.
        other: Its columns; of a narrow one, all rows are computed.
    """
    if other < _NARROW:
        return 0, length
    if stop - start >= _NARROW:
        return start, stop
    low = max(0, min(start, length - _NARROW))
    return low, min(length, max(stop, low + _NARROW))


def _is_power_of_two(scale: float) -> bool:
    return abs(math.frexp(scale)[0]) == 0.5
