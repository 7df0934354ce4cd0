"""Q2_K in numpy: 16 sub-blocks of 16 values, x ~ d * scale * level - dmin * offset.

The truth is ``quantize_row_q2_K_ref`` and ``quantize_row_q2_K_impl`` in llama.cpp's ggml-quants.c.
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
    nearest,
    ordered_sum,
    weigh,
)


def encode(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks, shape (blocks, 84).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    blocks, weights = cut(rows, importance, 256)
    x = blocks.reshape(-1, 16, 16)
    if weights is None:
        found = search.affine(x, np.abs(x), 3, -0.5, 0.1, 15, plain=True)
        size, ls = _fifteenths(found.scale)
        least, lm = _fifteenths(found.offset)
    else:
        sigma = ordered_sum(blocks * blocks) / 256
        w = weigh(weights.reshape(x.shape), sigma[:, None, None], x)
        found = search.affine(x, w, 3, -0.9, 0.05, 36)
        total = ordered_sum(w)
        scales = search.positive(found.scale, total, 15)
        offsets = search.positive(found.offset, total, 15)
        size, ls, least, lm = scales.scale, scales.levels, offsets.scale, offsets.levels
    size_bytes, size = half(size)
    least_bytes, least = half(least)
    packed = (ls | lm << 4) & 255
    d = (size[:, None] * (packed & 15).astype(np.float32))[..., None]
    dm = (least[:, None] * (packed >> 4).astype(np.float32))[..., None]
    levels = np.where(d == 0, found.levels, np.clip(nearest((x + dm) / d), 0, 3))
    # A byte holds four values that are 32 apart.
    of_half = levels.reshape(-1, 2, 4, 32)
    low = (of_half << np.array([0, 2, 4, 6])[:, None]).sum(axis=2).reshape(-1, 64)
    parts = [packed, low, size_bytes, least_bytes]
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def _fifteenths(values: Floats) -> tuple[Floats, Ints]:
    """Return one scale for 16 values at least 0, and each as a number of 4 bits."""
    most = np.maximum(values.max(axis=1), 0)
    some = most > 0
    levels = nearest((np.float32(15) / most)[:, None] * values)
    return np.where(some, most / 15, np.float32(0)), np.where(some[:, None], levels, 0)
