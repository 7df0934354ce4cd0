"""The kernel of mlx gives numpy's bits, at every level of instructions.

``uploader-mlx`` compares it with mlx itself.
"""

from __future__ import annotations

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import stored
from uploader_kernels.mlx.affine import affine as twin

ROWS, COLUMNS = 6, 1152


def run(
    library: uploader_kernels.Library, weights: np.ndarray, kind: str, group: int, bits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    groups = weights.size // group
    codes = np.zeros(weights.size * bits // 8, np.uint8)
    scales, biases = (np.zeros(groups, weights.dtype) for _ in range(2))
    finite = uploader_kernels.affine(
        library, (weights.ctypes.data, kind), groups, group, bits,
        codes.ctypes.data, scales.ctypes.data, biases.ctypes.data,
    )  # fmt: skip
    return codes, scales, biases, finite


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("kind", uploader_kernels.STORED)
def test_bits_of_numpy(library: uploader_kernels.Library, kind: str, group: int, bits: int) -> None:
    normal = np.random.default_rng(3).standard_normal((ROWS, COLUMNS))
    for name, values in {
        "normal": normal * 0.02,
        "large": normal * 1e3,
        "small": normal * 1e-6,
        "denormal": normal * (1e-39 if kind != "F16" else 1e-7),
        "of one sign": np.abs(normal) + 3,
        "all alike": np.full_like(normal, 0.7),
        "zeros of both signs": np.where(normal > 0, 0.0, -0.0),
        "mostly zeros": np.where(normal > 2, normal, -0.0),
        "halfway": np.rint(normal * 8) / 16,
    }.items():
        weights = stored(kind, values)
        expected = twin(weights, kind, group, bits)
        assert expected is not None
        *parts, finite = run(library, weights, kind, group, bits)
        assert finite, name
        for part, wanted in zip(parts, expected, strict=True):
            assert part.tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", uploader_kernels.STORED)
@pytest.mark.parametrize("place", [(0, 0), (ROWS - 1, COLUMNS - 1)])
def test_what_is_not_finite_is_told(
    library: uploader_kernels.Library, kind: str, value: float, place: tuple[int, int]
) -> None:
    values = np.ones((ROWS, COLUMNS))
    values[place] = value
    weights = stored(kind, values)
    assert twin(weights, kind, 64, 4) is None
    assert not run(library, weights, kind, 64, 4)[3]
