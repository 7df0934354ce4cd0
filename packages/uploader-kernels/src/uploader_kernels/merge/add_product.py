"""What ``add_product.h`` computes, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from uploader_kernels.merge.add_scaled import Array, add_scaled

Matrix = npt.NDArray[np.float32]


def add_product(
    stored: Array, stored_type: str, factors: tuple[Matrix, Matrix], scale: float, wanted: str
) -> tuple[Array, bool]:
    """Return ``stored + (B @ A) * scale``, and whether the sums and what is stored are finite.

    Args:
        stored: Values, rows by columns; of BF16 their bits.
        stored_type: ``F32``, ``F16`` or ``BF16``.
        factors: B, rows by rank, and A, rank by columns.
        scale: Of the product.
        wanted: Type of the result, spelled the same.
    """
    b, a = factors
    total = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(b.shape[1]):
        total = _fused(b[:, k, None], a[k], total)
    return add_scaled(stored, stored_type, total, scale, wanted)


def _fused(left: Matrix, right: Matrix, total: Matrix) -> Matrix:
    """Return ``left * right + total``, rounded once.

    The product of two float32 is exact in float64. Their sum is rounded there to odd, so that
    rounding it to float32 is the only rounding that can be seen.
    """
    product = left.astype(np.float64) * right
    wide = total.astype(np.float64)
    near = product + wide
    # What the addition lost, exactly (Knuth).
    back = near - product
    lost = (product - (near - back)) + (wide - back)
    even = (near.view(np.int64) & 1) == 0
    towards = np.where((lost > 0) == (near > 0), np.int64(1), np.int64(-1))
    odd = (near.view(np.int64) + np.where((lost != 0) & even, towards, 0)).view(np.float64)
    return odd.astype(np.float32)
