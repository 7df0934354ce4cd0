"""Q3_K in numpy: 16 sub-blocks of 16 values, x ~ d * scale * level, levels from -4 to 3.

The truth is ``quantize_row_q3_K_ref`` and ``quantize_row_q3_K_impl`` in llama.cpp's ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from uploader_kernels.encoders import search
from uploader_kernels.encoders.blocks import (
    Bytes,
    Floats,
    Ints,
    cut,
    half,
    largest,
    nearest,
    ordered_sum,
    weigh,
)


def encode(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks, shape (blocks, 110).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    blocks, weights = cut(rows, importance, 256)
    x = blocks.reshape(-1, 16, 16)
    if weights is None:
        found = search.by_turns(x, 4)
        size, ls = _scales(found.scale)
    else:
        sigma = 2 * ordered_sum(blocks * blocks) / 256
        w = weigh(weights.reshape(x.shape), sigma[:, None, None], x)
        found = search.symmetric(x, w, 4)
        scales = search.symmetric(found.scale, ordered_sum(w), 32)
        size, ls = scales.scale, scales.levels
    size_bytes, size = half(size)
    d = (size[:, None] * (ls - 32).astype(np.float32))[..., None]
    levels = np.where(d == 0, found.levels, np.clip(nearest(x / d), -4, 3) + 4).reshape(-1, 256)
    # The third bit of a value: a byte holds those of eight values that are 32 apart.
    high = ((levels >> 2).reshape(-1, 8, 32) << np.arange(8)[:, None]).sum(axis=1)
    of_half = (levels & 3).reshape(-1, 2, 4, 32)
    low = (of_half << np.array([0, 2, 4, 6])[:, None]).sum(axis=2).reshape(-1, 64)
    # Scales: the lower four bits of two share a byte, then the upper two bits of four.
    pairs = ls[:, :8] & 15 | (ls[:, 8:] & 15) << 4
    upper = ((ls >> 4).reshape(-1, 4, 4) << np.array([0, 2, 4, 6])[:, None]).sum(axis=1)
    parts = [high, low, pairs, upper, size_bytes]
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def _scales(scale: Floats) -> tuple[Floats, Ints]:
    """Return one scale for 16 scales, and each as a number of 6 bits, 32 for zero."""
    most = largest(scale)
    some = most != 0
    slope = np.float32(-32) / most
    levels = np.clip(nearest(slope[:, None] * scale), -32, 31) + 32
    return np.where(some, 1 / slope, np.float32(0)), np.where(some[:, None], levels, 0)
