"""IQ3_S and IQ3_XXS in numpy: four levels of 3 bits are kept as the number of a point on a grid.

x ~ sign * scale * (2 * level + 1), in 8 sub-blocks of 32 values. The truth is
``quantize_row_iq3_s_impl`` and ``quantize_row_iq3_xxs_impl`` in llama.cpp's ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

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
from uploader_kernels.encoders.grid import SHIFTS, Grid, grid_of, levels_of

SMALLEST = np.float32(1e-8)
"""``GROUP_MAX_EPS_IQ3_XXS``: a sub-block that is smaller counts as zero."""


def encode_s(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks of IQ3_S, shape (blocks, 110).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    grid = grid_of(512)
    x, w = _sub_blocks(rows, importance)
    zero: Ints = (x == 0).all(axis=1)
    scale, cells = _search(grid, np.abs(x), w, zero, steps=9, again=True)
    numbers: Ints = np.where(zero[:, None], 0, grid.number[cells]).reshape(-1, 8, 8)
    high = ((numbers >> 8) << np.arange(8)).sum(axis=-1)
    signs: Ints = np.packbits(x < 0, axis=-1, bitorder="little").reshape(-1, 8, 4)
    # A sub-block of zeros takes no place: the next one is put where it would be. The rest is 0.
    places = np.argsort(zero.reshape(-1, 8), axis=1, kind="stable")[..., None]
    numbers = np.take_along_axis(numbers, places, axis=1).reshape(-1, 64)
    signs = np.take_along_axis(signs, places, axis=1).reshape(-1, 32)
    size, levels = _scales(scale.reshape(-1, 8), np.float32(1.033))
    pairs = levels[:, 0::2] | levels[:, 1::2] << 4
    parts = [size, numbers & 255, high, signs, pairs]
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def encode_xxs(rows: Floats, importance: Floats | None) -> Bytes:
    """Return the bytes of all blocks of IQ3_XXS, shape (blocks, 98).

    Args:
        rows: Shape (n, row length).
        importance: Shape (row length,), or None.
    """
    grid = grid_of(256)
    x, w = _sub_blocks(rows, importance)
    sizes, minus = _even_signs(x.reshape(-1, 4, 8), w.reshape(-1, 4, 8))
    sizes = sizes.reshape(-1, 32)
    zero: Ints = (sizes < SMALLEST).all(axis=1)
    scale, cells = _search(grid, sizes, w, zero, steps=15, again=False)
    # A scale below zero is kept with the other signs.
    minus = (minus ^ (scale < 0)[:, None, None]) & ~zero[:, None, None]
    numbers = np.where(zero[:, None], 0, grid.number[cells]).reshape(-1, 64)
    size, levels = _scales(np.abs(scale).reshape(-1, 8), np.float32(1.0125))
    # Seven signs of every eight, for their number is even, and the level of the scale.
    packed = (minus[..., :7].reshape(-1, 8, 28) * (1 << np.arange(28))).sum(axis=-1)
    packed = np.where(
        np.abs(scale).reshape(-1, 8).any(axis=1, keepdims=True), packed | levels << 28, 0
    )
    parts = [size, numbers, packed.astype("<u4").view(np.uint8)]
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def _sub_blocks(rows: Floats, importance: Floats | None) -> tuple[Floats, Floats]:
    """Return the values of all sub-blocks and their weights, shape (sub-blocks, 32)."""
    blocks, weights = cut(rows, importance, 256)
    if weights is None:
        w = blocks * blocks
    else:
        w = weigh(weights, (2 * ordered_sum(blocks * blocks) / 256)[:, None], blocks)
    return blocks.reshape(-1, 32), w.reshape(-1, 32)


def _even_signs(x: Floats, w: Floats) -> tuple[Floats, Ints]:
    """Make the number of minus signs in every eight even, by the value that counts least.

    Returns:
        Values without their signs, where that one's is wrong, and which are minus; as x, (..., 8).
    """
    minus = x < 0
    odd = minus.sum(axis=-1) % 2 == 1
    least = np.arange(8) == (w * x * x).argmin(axis=-1)[..., None]
    other = odd[..., None] & least
    return np.where(other, -np.abs(x), np.abs(x)), minus ^ other


def _search(
    grid: Grid, x: Floats, w: Floats, zero: Ints, steps: int, again: bool
) -> tuple[Floats, Ints]:
    """Minimise sum w * (scale * (2 * level + 1) - x)^2 over scales near max / 15.

    For the points that a scale leads to, the best scale is sum w x q / sum w q^2, and the error is
    smallest where (sum w x q)^2 / sum w q^2 is largest. The scale that was found leads to points
    once more, where a group of four had to be moved to one.

    Args:
        grid: Points.
        x: Shape (lanes, 32).
        w: Their weights.
        zero: Lanes whose scale is 0.
        steps: How many scales are tried to either side.
        again: Whether all groups move in the end, and not only those that had to.

    Returns:
        Scales, shape (lanes,), and a point for each four values, shape (lanes, 8).
    """
    groups, root = x.reshape(-1, 8, 4), np.sqrt(w).reshape(-1, 8, 4)

    def points_at(slope: Floats, scale: Floats) -> tuple[Ints, Ints]:
        levels = np.clip(nearest(np.float32(0.5) * (slope[:, None] * x - 1)), 0, 7)
        cells = (levels.reshape(-1, 8, 4) << SHIFTS).sum(axis=-1)
        return grid.move(cells, groups, root, scale), grid.number[cells] < 0

    def sums(points: Ints) -> tuple[Floats, Floats]:
        q = (2 * levels_of(points) + 1).reshape(-1, 32).astype(np.float32)
        return ordered_sum(w * x * q), ordered_sum(w * q * q)

    most = np.where(zero, np.float32(1), x.max(axis=1))
    scale, best = most / np.float32(15), np.zeros_like(most)
    points, moved = np.zeros((len(x), 8), np.int64), np.full((len(x), 8), again)
    for i in range(-steps, steps + 1):
        slope = (np.float32(15) + np.float32(i) * np.float32(0.2)) / most
        tried, off = points_at(slope, 1 / slope)
        sum_xq, sum_q2 = sums(tried)
        better = (sum_q2 > 0) & (sum_xq * sum_xq > best * sum_q2)
        scale = np.where(better, sum_xq / sum_q2, scale)
        best = np.where(better, scale * sum_xq, best)
        points = np.where(better[:, None], tried, points)
        moved = np.where(better[:, None], off, moved)
    once_more = moved.any(axis=1) & (scale > 0)
    tried, _ = points_at(1 / scale, scale)
    points = np.where(once_more[:, None] & (moved | again), tried, points)
    sum_xq, sum_q2 = sums(points)
    scale = np.where(once_more & (sum_q2 > 0), sum_xq / sum_q2, scale)
    return np.where(zero, np.float32(0), scale), points


def _scales(scale: Floats, more: Floats) -> tuple[Bytes, Ints]:
    """Return the size of eight scales, times `more`, and their levels: (2 * level + 1) * size."""
    most = scale.max(axis=1)
    d = most / 31
    levels = np.clip(nearest(np.float32(0.5) * ((1 / d)[:, None] * scale - 1)), 0, 15)
    return half(d * more)[0], np.where(most[:, None] != 0, levels, 0)
