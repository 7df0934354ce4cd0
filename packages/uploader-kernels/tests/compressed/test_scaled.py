"""The kernels of compressed-tensors give numpy's bits, at every level of instructions.

``uploader-compressed`` compares them with compressed-tensors itself.
"""

from __future__ import annotations

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import stored
from uploader_kernels.compressed import scaled as twin

ROWS, COLUMNS = 6, 2432
"""More than is worked on at once, and no multiple of it."""
CODES = {
    "fp8": {"floating": True, "bits": 8, "offset": 0},
    "int8": {"floating": False, "bits": 8, "offset": 0},
    "int8 less 128": {"floating": False, "bits": 8, "offset": 128},
    "int4 less 8": {"floating": False, "bits": 4, "offset": 8},
}


def run(
    library: uploader_kernels.Library, weights: np.ndarray, kind: str, group: int, code: str
) -> tuple[np.ndarray, np.ndarray, bool]:
    how = CODES[code]
    codes = np.zeros((ROWS, COLUMNS * how["bits"] // 8), np.uint8)
    scales = np.zeros((ROWS, COLUMNS // group), weights.dtype)
    finite = uploader_kernels.compress(
        library,
        (weights.ctypes.data, kind),
        weights.shape,
        group,
        codes.ctypes.data,
        scales.ctypes.data,
        **how,
    )
    return codes, scales, finite


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("group", [128, COLUMNS])
@pytest.mark.parametrize("kind", uploader_kernels.STORED)
def test_bits_of_numpy(library: uploader_kernels.Library, kind: str, group: int, code: str) -> None:
    normal = np.random.default_rng(3).standard_normal((ROWS, COLUMNS))
    for name, values in {
        "normal": normal * 0.02,
        "large": normal * 1e3,
        "small": normal * 1e-6,
        "denormal": normal * (1e-39 if kind != "F16" else 1e-7),
        "zeros of both signs": np.where(normal > 0, 0.0, -0.0),
        "mostly zeros": np.where(normal > 2, normal, -0.0),
        "halfway": np.rint(normal * 8) / 16,
    }.items():
        weights = stored(kind, values)
        expected = twin.compress(weights, kind, group, **CODES[code])
        assert expected is not None
        codes, scales, finite = run(library, weights, kind, group, code)
        assert finite, name
        assert scales.tobytes() == expected[1].tobytes(), name
        assert codes.tobytes() == expected[0].tobytes(), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", uploader_kernels.STORED)
@pytest.mark.parametrize("place", [(0, 0), (ROWS - 1, COLUMNS - 1)])
def test_what_is_not_finite_is_told(
    library: uploader_kernels.Library, kind: str, value: float, place: tuple[int, int]
) -> None:
    values = np.ones((ROWS, COLUMNS))
    values[place] = value
    weights = stored(kind, values)
    assert twin.compress(weights, kind, 128, **CODES["fp8"]) is None
    assert not run(library, weights, kind, 128, "fp8")[2]
