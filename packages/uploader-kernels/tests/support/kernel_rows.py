"""Rows to try kernels on: seventeen distributions, and importance matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stock_ggml import Rows
from uploader_kernels.merge.add_scaled import narrow

Random = np.random.Generator


def _normal(random: Random, shape: tuple[int, int]) -> Rows:
    return random.standard_normal(shape, dtype=np.float32)


def _sign(random: Random, shape: tuple[int, int]) -> Rows:
    return np.sign(_normal(random, (shape[0], 1))) * np.ones(shape, np.float32)


def _one_hot(random: Random, shape: tuple[int, int]) -> Rows:
    rows = np.zeros(shape, np.float32)
    rows[np.arange(shape[0])[:, None], random.integers(0, shape[1], (shape[0], shape[1] // 64))] = 1
    return rows


def _alternating(random: Random, shape: tuple[int, int]) -> Rows:
    signs = np.tile(np.array([1, -1], np.float32), shape[1] // 2)
    return signs * np.abs(_normal(random, (shape[0], 1)))


def _bfloat16(random: Random, shape: tuple[int, int]) -> Rows:
    return (_normal(random, shape).view(np.uint32) & 0xFFFF0000).view(np.float32)


def _scales(random: Random, shape: tuple[int, int], every: int) -> Rows:
    """A factor for every few columns, over sixty powers of ten."""
    powers = random.integers(-30, 30, (shape[0], shape[1] // every)).repeat(every, 1)
    return (10.0**powers).astype(np.float32)


def _mixed(random: Random, shape: tuple[int, int]) -> Rows:
    half = _normal(random, shape) * (random.random(shape) < 0.5)
    return half * _scales(random, shape, 32)


def _scaled_blocks(random: Random, shape: tuple[int, int]) -> Rows:
    factors = np.exp(4 * _normal(random, (shape[0], shape[1] // 16)))
    return _normal(random, shape) * factors.repeat(16, 1)


DISTRIBUTIONS: dict[str, Callable[[Random, tuple[int, int]], Rows]] = {
    "normal": lambda r, s: _normal(r, s) * np.float32(0.02),
    "heavy tails": lambda r, s: r.standard_t(2, s) * 0.01,
    "constant": lambda r, s: _sign(r, s) * np.float32(0.37),
    "zeros": lambda r, s: np.zeros(s, np.float32),
    "denormal": lambda r, s: _normal(r, s) * np.float32(1e-40),
    "tiny": lambda r, s: _normal(r, s) * np.float32(1e-20),
    "large": lambda r, s: _normal(r, s) * np.float32(3e3),
    "huge": lambda r, s: _normal(r, s) * np.float32(1e30),
    "one-hot": _one_hot,
    "alternating signs": _alternating,
    "uniform": lambda r, s: r.random(s, dtype=np.float32),
    "negative": lambda r, s: -r.random(s, dtype=np.float32) - 1,
    "bfloat16": _bfloat16,
    "few values": lambda r, s: np.round(_normal(r, s) * 2) / 4,
    "sparse": lambda r, s: _normal(r, s) * (r.random(s) < 0.02),
    "scaled blocks": _scaled_blocks,
    "mixed magnitudes": _mixed,
}
"""By name; each takes a generator and a shape whose columns divide by 64."""

EXTREME = {"denormal", "tiny", "huge", "mixed magnitudes", "sparse", "scaled blocks"}
"""Distributions whose sums leave the range of floats, whose scales leave that of half precision, or
that leave next to nothing to divide by."""


ENDS_ABOVE = {"IQ3_XXS": 1e10, "IQ3_S": 1e10}
"""Where a type's search comes near the end of floats, at which llama.cpp ends the process."""


def rows_of(name: str, kind: str, random: Random, count: int, length: int) -> Rows:
    """Draw rows of a distribution, for a type that will store them."""
    rows = np.ascontiguousarray(DISTRIBUTIONS[name](random, (count, length)), np.float32)
    most = np.float32(ENDS_ABOVE.get(kind, np.inf))
    return np.clip(rows, -most, most)


def importances(random: Random, length: int) -> dict[str, Rows | None]:
    """Return importance matrices of a row's length, by what is special about them."""
    skewed = (random.random(length) ** 4 * 100).astype(np.float32)
    return {
        "none": None,
        "skewed": skewed,
        "with zeros": np.where(random.random(length) < 0.3, np.float32(0), skewed),
        "ones": np.ones(length, np.float32),
        "zeros": np.zeros(length, np.float32),
    }


def stored(kind: str, values: np.ndarray) -> np.ndarray:
    """Return values as weights of a type of safetensors, whatever overflows there."""
    with np.errstate(all="ignore"):
        return narrow(values.astype(np.float32), kind)
