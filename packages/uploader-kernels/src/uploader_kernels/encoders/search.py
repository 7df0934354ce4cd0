"""The searches for scales, in numpy: what ``native/search.h`` computes, to be read.

Each takes sub-blocks of shape (..., n) and tries some twenty scales for every one of them. Whether
a scale is better is decided by the weighted error, which is summed in the order of llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uploader_kernels.encoders.blocks import Floats, Ints, largest, nearest, ordered_sum

SMALLEST = np.float32(1e-15)
"""``GROUP_MAX_EPS``: what is smaller counts as zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Affine:
    """x ~ scale * level - offset.

    Attributes:
        scale: Shape (...).
        offset: At least 0.
        levels: From 0 to nmax, shape (..., n).
    """

    scale: Floats
    offset: Floats
    levels: Ints


def affine(
    x: Floats, w: Floats, nmax: int, first: float, step: float, steps: int, *, plain: bool = False
) -> Affine:
    """Minimise sum w * (scale * level - offset - x)^2: ``make_qkx2_quants``, ``make_qkx3_quants``.

    For levels q = nearest((nmax + first + step * i) * (x - min) / (max - min)) the best scale and
    offset are those of a linear regression; of all i, the one with the smallest error counts.

    Args:
        x: Values.
        w: Their weights.
        nmax: Highest level.
        first: The first i is this far from nmax.
        step: From one i to the next.
        steps: How many more i there are after the first.
        plain: Count absolute errors and not squares.
    """
    low, high = np.minimum(x.min(axis=-1), 0), x.max(axis=-1)
    flat = high == low
    sum_w, sum_x = ordered_sum(w), ordered_sum(w * x)

    def levels_at(slope: Floats) -> Ints:
        return np.clip(nearest(slope[..., None] * (x - low[..., None])), 0, nmax)

    def error(scale: Floats, levels: Ints, low: Floats) -> Floats:
        off = scale[..., None] * levels.astype(np.float32) + low[..., None] - x
        return ordered_sum(w * (np.abs(off) if plain else off * off))

    slope = np.float32(nmax) / (high - low)
    scale, levels = 1 / slope, levels_at(slope)
    best = error(scale, levels, low)
    for i in range(steps + 1):
        count = np.float32(first) + np.float32(step) * np.float32(i) + np.float32(nmax)
        tried = levels_at(count / (high - low))
        q = tried.astype(np.float32)
        sum_l, sum_l2, sum_xl = (ordered_sum(s) for s in (w * q, w * q * q, w * q * x))
        det = sum_w * sum_l2 - sum_l * sum_l
        new_scale = (sum_w * sum_xl - sum_x * sum_l) / det
        new_low = (sum_l2 * sum_x - sum_l * sum_xl) / det
        # The offset is stored without a sign: a minimum above zero becomes zero.
        above = new_low > 0
        new_scale, new_low = (
            np.where(above, sum_xl / sum_l2, new_scale),
            np.where(above, 0, new_low),
        )
        new_error = error(new_scale, tried, new_low)
        better = (det > 0) & (new_error < best)
        best = np.where(better, new_error, best)
        scale, low = np.where(better, new_scale, scale), np.where(better, new_low, low)
        levels = np.where(better[..., None], tried, levels)
    return Affine(
        scale=np.where(flat, np.float32(0), scale),
        offset=-low,
        levels=np.where(flat[..., None], 0, levels),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaled:
    """x ~ scale * level.

    Attributes:
        scale: Shape (...).
        levels: Counted from 0, shape (..., n).
    """

    scale: Floats
    levels: Ints


def symmetric(x: Floats, w: Floats, nmax: int) -> Scaled:
    """Minimise sum w * (scale * level - x)^2: ``make_qx_quants``.

    For levels q = nearest(-(nmax + i / 10) * x / max) from -nmax to nmax - 1, the best scale is
    sum w x q / sum w q^2, and the error is smallest where (sum w x q)^2 / sum w q^2 is largest.
    """
    most = largest(x)
    zero = np.abs(most) < SMALLEST
    most = np.where(zero, np.float32(1), most)

    def levels_at(slope: Floats) -> Ints:
        return np.clip(nearest(slope[..., None] * x), -nmax, nmax - 1)

    levels = levels_at(np.float32(-nmax) / most)
    q = levels.astype(np.float32)
    sum_xl, sum_l2 = ordered_sum(w * x * q), ordered_sum(w * q * q)
    scale = np.where(sum_l2 != 0, sum_xl / sum_l2, np.float32(0))
    best = scale * sum_xl
    for i in (i for i in range(-9, 10) if i):
        tried = levels_at(-(np.float32(nmax) + np.float32(0.1) * np.float32(i)) / most)
        q = tried.astype(np.float32)
        sum_xl, sum_l2 = ordered_sum(w * x * q), ordered_sum(w * q * q)
        better = (sum_l2 > 0) & (sum_xl * sum_xl > best * sum_l2)
        scale = np.where(better, sum_xl / sum_l2, scale)
        best = np.where(better, scale * sum_xl, best)
        levels = np.where(better[..., None], tried, levels)
    return Scaled(
        scale=np.where(zero, np.float32(0), scale),
        levels=np.where(zero[..., None], 0, levels + nmax),
    )


def by_turns(x: Floats, nmax: int) -> Scaled:
    """Minimise sum x^2 * (scale * level - x)^2 value by value: ``make_q3_quants``.

    Each value in turn takes the level that fits the scale of all the others, where that makes
    (sum w x q)^2 / sum w q^2 larger; five times over all values.
    """
    most = largest(x)
    zero = np.abs(most) < SMALLEST
    slope = np.float32(-nmax) / np.where(zero, np.float32(1), most)
    w = x * x
    q = np.clip(nearest(slope[..., None] * x), -nmax, nmax - 1).astype(np.float32)
    sum_xl, sum_l2 = ordered_sum(w * x * q), ordered_sum(w * q * q)
    for _ in range(5):
        for i in range(x.shape[-1]):
            wi, xi, qi = w[..., i], x[..., i], q[..., i]
            rest_xl, rest_l2 = sum_xl - wi * xi * qi, sum_l2 - wi * qi * qi
            new = np.clip(nearest(xi * rest_l2 / rest_xl), -nmax, nmax - 1).astype(np.float32)
            new_xl, new_l2 = rest_xl + wi * xi * new, rest_l2 + wi * new * new
            better = (rest_xl > 0) & (new != qi) & (new_l2 > 0)
            better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
            q[..., i] = np.where(better, new, qi)
            sum_xl, sum_l2 = np.where(better, new_xl, sum_xl), np.where(better, new_l2, sum_l2)
    return Scaled(
        scale=np.where((sum_l2 > 0) & ~zero, sum_xl / sum_l2, np.float32(0)),
        levels=np.where(zero[..., None], 0, q.astype(np.int32) + nmax),
    )


def positive(x: Floats, w: Floats, nmax: int) -> Scaled:
    """Minimise sum w * (scale * level - x)^2 for levels from 0 to nmax: ``make_qp_quants``.

    First the best of nine scales near nmax / max, then value by value as :func:`by_turns` does.
    """
    most = np.maximum(x.max(axis=-1), 0)
    zero = most < SMALLEST
    most = np.where(zero, np.float32(1), most)

    def error(slope: Floats, levels: Ints) -> Floats:
        off = x - (1 / slope)[..., None] * levels.astype(np.float32)
        return ordered_sum(w * off * off)

    slope = np.float32(nmax) / most
    best = error(slope, nearest(slope[..., None] * x) & 255)
    for i in (i for i in range(-4, 5) if i):
        tried = (np.float32(0.1) * np.float32(i) + np.float32(nmax)) / most
        new_error = error(tried, np.minimum(nearest(tried[..., None] * x), nmax))
        slope = np.where(new_error < best, tried, slope)
        best = np.where(new_error < best, new_error, best)
    levels = np.minimum(nearest(slope[..., None] * x), nmax)
    q = levels.astype(np.float32)
    sum_xl, sum_l2 = ordered_sum(w * x * q), ordered_sum(w * q * q)
    q = (levels & 255).astype(np.float32)  # kept in a byte
    for _ in range(5):
        for i in range(x.shape[-1]):
            wi, xi, qi = w[..., i], x[..., i], q[..., i]
            rest_xl, rest_l2 = sum_xl - wi * xi * qi, sum_l2 - wi * qi * qi
            whole = np.minimum(nearest(xi * rest_l2 / rest_xl), nmax)
            new = whole.astype(np.float32)
            new_xl, new_l2 = rest_xl + wi * xi * new, rest_l2 + wi * new * new
            better = (rest_xl > 0) & (rest_l2 > 0) & (new != qi)
            better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
            q[..., i] = np.where(better, whole & 255, qi)
            sum_xl, sum_l2 = np.where(better, new_xl, sum_xl), np.where(better, new_l2, sum_l2)
    return Scaled(
        scale=np.where((sum_l2 > 0) & ~zero, sum_xl / sum_l2, np.float32(0)),
        levels=np.where(zero[..., None], 0, q.astype(np.int32)),
    )
