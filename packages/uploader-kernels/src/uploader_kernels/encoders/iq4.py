"""IQ4_XS and IQ4_NL in numpy: 4 bits stand for one of 16 values that lie closer near zero.

The truth is ``quantize_row_iq4_nl_impl`` in llama.cpp's ggml-quants.c, for both.
"""

from __future__ import annotations

import numpy as np

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
from uploader_kernels.encoders.search import SMALLEST

VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
"""``kvalues_iq4nl``."""

MIDDLES = (VALUES[1:] + VALUES[:-1]) / 2


def encode_nl(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks of IQ4_NL, shape (blocks, 18).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    x, weights = cut(rows, importance, 32)
    scale = _search(x, _weights(x, weights, ordered_sum(x * x) * np.float32(2 / 32)))
    size_bytes, _ = half(scale)
    slope = np.where(scale != 0, 1 / scale, np.float32(0))
    return np.concatenate([size_bytes, _pack(slope[:, None] * x)], axis=1)


def encode_xs(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks of IQ4_XS, shape (blocks, 136).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    blocks, weights = cut(rows, importance, 256)
    x = blocks.reshape(-1, 8, 32)
    sigma = ordered_sum(blocks * blocks) * np.float32(2 / 256)
    within = None if weights is None else weights.reshape(x.shape)
    scale = _search(x, _weights(x, within, sigma[:, None]))
    # One scale for the eight, and each as a number of 6 bits, 32 for zero.
    d = -largest(scale) / 32
    slope = np.where(d != 0, 1 / d, np.float32(0))
    ls = np.clip(nearest(slope[:, None] * scale), -32, 31)
    dl = d[:, None] * ls.astype(np.float32)
    levels = _pack(np.where(dl != 0, 1 / dl, np.float32(0))[..., None] * x)
    size_bytes, _ = half(d)
    ls = ls + 32
    low = ls[:, 0::2] & 15 | (ls[:, 1::2] & 15) << 4
    high = ((ls >> 4) << np.arange(0, 16, 2)).sum(axis=1).astype("<u2")[:, None].view(np.uint8)
    parts = [size_bytes, high, low.astype(np.uint8), levels.reshape(-1, 128)]
    return np.concatenate(parts, axis=1)


def _index(x: Floats) -> Ints:
    """Return which value is nearest, the upper one of two that are as near: ``best_index_int8``."""
    return np.searchsorted(MIDDLES, x, side="right").astype(np.int32)


def _pack(x: Floats) -> Bytes:
    """Return 32 values in 16 bytes: the first half in the lower bits, the second in the upper."""
    index = _index(x)
    packed: Bytes = (index[..., :16] | index[..., 16:] << 4).astype(np.uint8)
    return packed


def _weights(x: Floats, importance: Floats | None, sigma: Floats) -> Floats:
    return x * x if importance is None else weigh(importance, sigma[..., None], x)


def _search(x: Floats, w: Floats) -> Floats:
    """Minimise sum w * (scale * value - x)^2 over sixteen scales.

    The first maps the value that is farthest from zero to -127, the others to 7 to either side of
    that. The error is smallest where (sum w x q)^2 / sum w q^2 is largest.
    """
    most = largest(x)
    zero = np.abs(most) < SMALLEST
    most = np.where(zero, np.float32(1), most)
    scale = best = np.zeros_like(most)
    for i in (None, *range(-7, 8)):
        slope = 1 / (-most / VALUES[0]) if i is None else (np.float32(i) + VALUES[0]) / most
        q = VALUES[_index(slope[..., None] * x)]
        sum_xq, sum_q2 = ordered_sum(w * q * x), ordered_sum(w * q * q)
        new = np.where(sum_q2 > 0, sum_xq / sum_q2, np.float32(0))
        better = (sum_q2 > 0) & (sum_xq * sum_xq > best * sum_q2) | (i is None)
        scale, best = np.where(better, new, scale), np.where(better, new * sum_xq, best)
    return np.where(zero, np.float32(0), scale)
