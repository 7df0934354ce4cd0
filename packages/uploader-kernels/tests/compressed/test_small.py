"""FP4 codes are numpy's, at every level of instructions.

``uploader-compressed`` compares them with compressed-tensors itself.
"""

from __future__ import annotations

import numpy as np
import pytest

import uploader_kernels
from uploader_kernels.compressed import small as twin
from uploader_kernels.merge.add_scaled import narrow

ROWS, COLUMNS = 5, 2400
"""More than is worked on at once, and no multiple of it."""


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("group", [16, 32])
@pytest.mark.parametrize("kind", uploader_kernels.STORED)
def test_bits_of_numpy(
    library: uploader_kernels.Library, kind: str, group: int, rounded: bool
) -> None:
    random = np.random.default_rng(4)
    normal = random.standard_normal((ROWS, COLUMNS))
    divisors = np.exp2(random.integers(-3, 3, (ROWS, COLUMNS // group))).astype(np.float32)
    divisors[0] *= np.float32(1.1)
    for name, values in {
        "normal": normal * 4,
        "large": normal * 1e3,
        "small": normal * 1e-6,
        "zeros of both signs": np.where(normal > 0, 0.0, -0.0),
        "halfway": np.rint(normal * 8) / 4,
    }.items():
        stored = narrow(values.astype(np.float32), kind)
        codes = np.zeros((ROWS, COLUMNS // 2), np.uint8)
        uploader_kernels.small_floats(
            library,
            (stored.ctypes.data, kind),
            divisors.size,
            group,
            divisors.ctypes.data,
            codes.ctypes.data,
            rounded=rounded,
        )
        expected = twin.small_floats(stored, kind, divisors, rounded=rounded)
        assert codes.tobytes() == expected.tobytes(), name


def test_every_code_is_the_nearest_and_halves_go_to_even_codes(
    library: uploader_kernels.Library,
) -> None:
    values = np.array(
        [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7], np.float32
    )
    both = np.concatenate([values, -values])
    codes, divisor = np.zeros(16, np.uint8), np.ones(1, np.float32)
    uploader_kernels.small_floats(
        library, (both.ctypes.data, "F32"), 1, 32, divisor.ctypes.data, codes.ctypes.data,
        rounded=False,
    )  # fmt: skip
    nibbles = np.stack([codes & 15, codes >> 4], 1).ravel().tolist()
    nearest = [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 7]
    assert nibbles == nearest + [code | 8 if code or value else code for code, value in
                                 zip(nearest, values, strict=True)]  # fmt: skip
