"""Q4_0, Q5_0 and Q8_0 in numpy: 32 values, x ~ d * level.

The truth is ``quantize_row_q4_0_ref`` and, with importance, ``quantize_row_q4_0_impl``, then those
of q5_0, and ``quantize_row_q8_0_ref`` in llama.cpp's ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from uploader_kernels.encoders import search
from uploader_kernels.encoders.blocks import Bytes, Floats, cut, half, largest, ordered_sum, weigh


def encode(rows: Floats, importance: Floats | None, bits: int) -> Bytes:
    """Return the bytes of all blocks, shape (blocks, 18) for 4 bits and (blocks, 22) for 5.

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
        bits: Of a level.
    """
    nmax = 1 << (bits - 1)
    x, weights = cut(rows, importance, 32)
    if weights is None:
        # The value that is farthest from zero becomes -nmax; halves go up.
        d = largest(x) / -nmax
        slope = np.where(d != 0, 1 / d, np.float32(0))
        levels = (x * slope[:, None] + np.float32(nmax + 0.5)).astype(np.int32)
        levels = np.minimum(levels, 2 * nmax - 1)
    else:
        # The mean square is that of the whole row.
        sigma = (ordered_sum(rows * rows) / rows.shape[1]).repeat(rows.shape[1] // 32)
        found = search.symmetric(x, weigh(weights, sigma[:, None], x), nmax)
        d, levels = found.scale, found.levels
    parts = [half(d)[0], levels[:, :16] & 15 | (levels[:, 16:] & 15) << 4]
    if bits == 5:
        fifth = ((levels >> 4).astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(axis=1)
        parts.insert(1, fifth.astype("<u4")[:, None].view(np.uint8))
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def encode_q8(rows: Floats) -> Bytes:
    """Return the bytes of all blocks of Q8_0, shape (blocks, 34).

    Args:
        rows: Shape (n, row length).
    """
    x, _ = cut(rows, None, 32)
    d = np.abs(x).max(axis=1) / 127
    scaled = x * np.where(d != 0, 1 / d, np.float32(0))[:, None]
    # Halves go away from zero.
    whole = np.trunc(scaled)
    whole += np.where(np.abs(scaled - whole) >= 0.5, np.sign(scaled), np.float32(0))
    return np.concatenate([half(d)[0], whole.astype(np.int8).view(np.uint8)], axis=1)
