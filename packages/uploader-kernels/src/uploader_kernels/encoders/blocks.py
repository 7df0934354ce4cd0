"""What the twins of all kernels share: blocks in lanes, sums in order, and numbers of 16 bits.

A twin computes what the header beside it does, in numpy, to be read: the first axis of every array
is the lane, a block in each. No lane sees another one's values. All of it is float32; Python's own
numbers take part as float32 too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# float32 and int32. numpy's types do not know that Python's numbers leave them so.
Floats = npt.NDArray[Any]
Ints = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


def cut(rows: Floats, importance: Floats | None, size: int) -> tuple[Floats, Floats | None]:
    """Cut rows into blocks, and the importance of their columns with them.

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
        size: Values of a block.

    Returns:
        Both with shape (blocks, size).
    """
    if importance is not None:
        importance = np.broadcast_to(importance, rows.shape).reshape(-1, size)
    return rows.reshape(-1, size), importance


def ordered_sum(terms: Floats) -> Floats:
    """Add along the last axis, one after the other, as a loop in C does.

    numpy's own sum adds in pairs, which rounds otherwise.
    """
    total: Floats = np.cumsum(terms, axis=-1, dtype=np.float32)[..., -1]
    return total


def largest(x: Floats) -> Floats:
    """Return the value that is farthest from zero, with its sign; the first of several.

    Of zeros alone it is +0, which a search begins with.
    """
    at = np.abs(x).argmax(axis=-1)
    found: Floats = np.take_along_axis(x, at[..., None], axis=-1)[..., 0]
    return found + 0


def nearest(x: Floats) -> Ints:
    """Round to the next whole number, to the even one of two that are as near: ``nearest_int``.

    Adding 1.5 * 2**23 leaves no bits for a fraction; the whole number is then in the low ones.
    """
    bits: Ints = np.asarray(x + np.float32(12582912), np.float32).view(np.int32)
    return (bits & 0x007FFFFF) - 0x00400000


def weigh(importance: Floats, sigma: Floats, x: Floats) -> Floats:
    """Return importance * sqrt(sigma + x^2): larger values count for more."""
    weights: Floats = importance * np.sqrt(sigma + x * x)
    return weights


def half(x: Floats) -> tuple[Bytes, Floats]:
    """Return numbers in half precision as bytes, shape (lanes, 2), and what was stored."""
    stored = x.astype("<f2")
    return stored[:, None].view(np.uint8), stored.astype(np.float32)
