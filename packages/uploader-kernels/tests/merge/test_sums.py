"""The kernels of a merge give numpy's bits, at every level of instructions."""

from __future__ import annotations

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import stored
from uploader_kernels.library import LEVEL, LEVELS
from uploader_kernels.merge import add_product as products
from uploader_kernels.merge import add_scaled as twin

COUNT = 3 * 1024 + 13
"""No multiple of what is worked on at once."""
SPELLED = list(uploader_kernels.STORED)


@pytest.fixture(params=LEVELS)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.delenv(LEVEL, raising=False)
    if LEVELS.index(request.param) > uploader_kernels.load().number:
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(LEVEL, request.param)
    return uploader_kernels.load()


def distributions(kind: str, random: np.random.Generator) -> dict[str, np.ndarray]:
    normal = random.standard_normal(COUNT)
    width = 4 if kind == "F32" else 2
    bits = random.integers(0, 256, COUNT * width, dtype=np.uint8)
    bits = bits.view(np.uint32 if width == 4 else np.uint16)
    exponent = {"F32": 0x7F800000, "BF16": 0x7F80, "F16": 0x7C00}[kind]
    bits = np.where((bits & exponent) == exponent, 0, bits).astype(bits.dtype)
    return {
        "normal": stored(kind, normal),
        "small": stored(kind, normal * 0.02),
        "denormal": stored(kind, normal * (1e-39 if kind != "F16" else 1e-6)),
        "zeros of both signs": stored(kind, np.where(normal > 0, 0.0, -0.0)),
        "any bits but infinities and NaN": bits
        if kind == "BF16"
        else bits.view({"F32": np.float32, "F16": np.float16}[kind]),
    }


@pytest.mark.parametrize("wanted", SPELLED)
@pytest.mark.parametrize("kind", SPELLED)
@pytest.mark.parametrize("scale", [2.0, 1.7, -3.3e-3, 1e-30])
def test_bits_of_numpy(library: object, kind: str, wanted: str, scale: float) -> None:
    random = np.random.default_rng(3)
    for name, values in distributions(kind, random).items():
        delta = random.standard_normal(COUNT).astype(np.float32) * np.float32(1e-2)
        out, finite = add(library, values, kind, delta, scale, wanted)
        expected, all_finite = twin.add_scaled(values, kind, delta, scale, wanted)
        assert finite == all_finite, name
        keep = np.isfinite(twin.widen(expected, wanted))
        assert out[keep].tobytes() == expected[keep].tobytes(), name


@pytest.mark.parametrize("place", [0, 1024, COUNT - 1])
@pytest.mark.parametrize(
    ("kind", "wanted", "value", "change"),
    [
        ("BF16", "BF16", np.nan, 0),
        ("BF16", "F32", np.inf, 0),
        ("F32", "F32", 3e38, 3e38),
        # Finite as a sum, and not as what is stored.
        ("F32", "BF16", 3.4e38, 0),
        ("BF16", "F16", 65280, 300),
    ],
)
def test_every_value_that_is_not_finite_is_seen(
    library: object, place: int, kind: str, wanted: str, value: float, change: float
) -> None:
    values, delta = np.ones(COUNT, np.float32), np.zeros(COUNT, np.float32)
    assert add(library, stored(kind, values), kind, delta, 1.0, wanted)[1]
    values[place], delta[place] = value, change
    values = values if kind == "F32" else (values.view(np.uint32) >> 16).astype(np.uint16)
    assert not add(library, values, kind, delta, 1.0, wanted)[1]


def add(
    library: object, values: np.ndarray, kind: str, delta: np.ndarray, scale: float, wanted: str
) -> tuple[np.ndarray, bool]:
    out = twin.narrow(np.zeros(COUNT, np.float32), wanted)
    finite = uploader_kernels.add_scaled(
        library,
        (values.ctypes.data, kind),
        delta.ctypes.data,
        scale,
        (out.ctypes.data, wanted),
        COUNT,
    )
    return out, finite


@pytest.mark.parametrize("wanted", SPELLED)
@pytest.mark.parametrize("kind", SPELLED)
@pytest.mark.parametrize(
    ("rows", "rank", "columns"), [(1, 1, 1), (6, 16, 512), (13, 8, 1037), (7, 67, 40)]
)
def test_product_has_bits_of_numpy(
    library: object, kind: str, wanted: str, rows: int, rank: int, columns: int
) -> None:
    random = np.random.default_rng(rows)
    values = stored(kind, random.standard_normal((rows, columns)))
    b = random.standard_normal((rows, rank)).astype(np.float32)
    a = random.standard_normal((rank, columns)).astype(np.float32)
    b[-1] = 0  # of a module that was not trained
    values[-1] = stored(kind, np.full(columns, -0.0))
    out = twin.narrow(np.zeros((rows, columns), np.float32), wanted)
    room = np.empty(uploader_kernels.room_for(rank, columns), np.float32)
    finite = uploader_kernels.add_product(
        library,
        (values.ctypes.data, kind),
        (b.ctypes.data, a.ctypes.data),
        1.7,
        (out.ctypes.data, wanted),
        (rows, rank, columns),
        room.ctypes.data,
    )
    if finite is None:
        assert library.level == "plain"
        return
    expected, _ = products.add_product(values, kind, (b, a), 1.7, wanted)
    assert finite
    assert out.tobytes() == expected.tobytes()
