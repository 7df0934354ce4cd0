"""Q4_K and Q5_K in numpy: 8 sub-blocks of 32 values, x ~ d * scale * level - dmin * offset.

The truth is ``quantize_row_q4_K_ref`` and ``quantize_row_q4_K_impl`` (with an importance matrix),
and those of q5_K, in llama.cpp's ggml-quants.c.
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


def encode(rows: Floats, importance: Floats | None, bits: int) -> Bytes:
    """Return the bytes of all blocks, shape (blocks, 144) for 4 bits and (blocks, 176) for 5.

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
        bits: Of a level.
    """
    nmax = (1 << bits) - 1
    blocks, weights = cut(rows, importance, 256)
    x = blocks.reshape(-1, 8, 32)
    if weights is None:
        w = np.sqrt(ordered_sum(x * x) / 32)[..., None] + np.abs(x)
        tries = (-1.0, 0.1, 20) if bits == 4 else (-0.5, 0.1, 15)
        found = search.affine(x, w, nmax, *tries)
        size, ls = _sixths(found.scale)
        least, lm = _sixths(found.offset)
    else:
        sigma = 2 * ordered_sum(blocks * blocks) / 256
        w = weigh(weights.reshape(x.shape), sigma[:, None, None], x)
        found = search.affine(x, w, nmax, -0.9, 0.05, 36)
        total = ordered_sum(w)
        scales = search.positive(found.scale, total, 63)
        offsets = search.positive(found.offset, total, 63)
        size, ls, least, lm = scales.scale, scales.levels, offsets.scale, offsets.levels
        if bits == 5:
            ls, lm = np.minimum(ls, 63), np.minimum(lm, 63)
    size_bytes, size = half(size)
    least_bytes, least = half(least)
    packed = _pack_sixths(ls, lm)
    ls, lm = _unpack_sixths(packed)
    d = (size[:, None] * ls.astype(np.float32))[..., None]
    dm = (least[:, None] * lm.astype(np.float32))[..., None]
    # With the scales as they are stored now, the nearest level once more.
    levels = np.where(d == 0, found.levels, np.clip(nearest((x + dm) / d), 0, nmax))
    # Two sub-blocks share the halves of a byte.
    low = (levels[:, 0::2] & 15 | (levels[:, 1::2] & 15) << 4).reshape(-1, 128)
    parts = [size_bytes, least_bytes, packed, low]
    if bits == 5:
        # The fifth bit of value i of sub-block j is bit j of byte i.
        high = ((levels >> 4) << np.arange(8)[:, None]).sum(axis=1)
        parts.insert(3, high)
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def _sixths(values: Floats) -> tuple[Floats, Ints]:
    """Return one scale for 8 values at least 0, and each as a number of 6 bits."""
    most = np.maximum(values.max(axis=1), 0)
    slope = np.where(most > 0, np.float32(63) / most, np.float32(0))
    return most / 63, np.minimum(nearest(slope[:, None] * values) & 255, 63)


def _pack_sixths(ls: Ints, lm: Ints) -> Bytes:
    """Pack 8 scales and 8 offsets of 6 bits into 12 bytes.

    The first four of each have a byte, whose two upper bits are the upper ones of the last four;
    the lower four bits of these share a byte.
    """
    first = ls[:, :4] | (ls[:, 4:] >> 4) << 6
    second = lm[:, :4] | (lm[:, 4:] >> 4) << 6
    third = ls[:, 4:] & 15 | (lm[:, 4:] & 15) << 4
    return np.concatenate([first, second, third], axis=1).astype(np.uint8)


def _unpack_sixths(packed: Bytes) -> tuple[Ints, Ints]:
    """Return what :func:`_pack_sixths` packed: ``get_scale_min_k4``."""
    first, second, third = (packed[:, i : i + 4].astype(np.int32) for i in (0, 4, 8))
    ls = np.concatenate([first & 63, third & 15 | (first >> 6) << 4], axis=1)
    lm = np.concatenate([second & 63, third >> 4 | (second >> 6) << 4], axis=1)
    return ls, lm
