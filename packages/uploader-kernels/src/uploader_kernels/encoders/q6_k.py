"""Q6_K in numpy: 16 sub-blocks of 16 values, x ~ d * scale * level, levels from -32 to 31.

The truth is ``quantize_row_q6_K_ref`` and ``quantize_row_q6_K_impl`` in llama.cpp's ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from uploader_kernels.encoders import search
from uploader_kernels.encoders.blocks import Bytes, Floats, cut, half, largest, nearest


def encode(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks, shape (blocks, 210).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    blocks, weights = cut(rows, importance, 256)
    x = blocks.reshape(-1, 16, 16)
    # Here the importance itself is the weight, whatever the values are.
    found = search.symmetric(x, x * x if weights is None else weights.reshape(x.shape), 32)
    most = largest(found.scale)
    zero = np.abs(most) < search.SMALLEST
    slope = np.float32(-128) / most
    size_bytes, size = half(np.where(zero, np.float32(0), 1 / slope))
    ls = np.minimum(nearest(slope[:, None] * found.scale), 127)
    ls = np.where(zero[:, None], 0, ls)
    d = (size[:, None] * ls.astype(np.float32))[..., None]
    levels = np.where(d == 0, found.levels, np.clip(nearest(x / d), -32, 31) + 32)
    levels = np.where(zero[:, None, None], 0, levels)
    # In each half, value i of the four quarters: lower bits in pairs, upper bits together.
    quarters = levels.reshape(-1, 2, 4, 32)
    low = quarters[:, :, :2] & 15 | (quarters[:, :, 2:] & 15) << 4
    high = ((quarters >> 4) << np.array([0, 2, 4, 6])[:, None]).sum(axis=2)
    parts = [low.reshape(-1, 128), high.reshape(-1, 64), ls, size_bytes]
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)
