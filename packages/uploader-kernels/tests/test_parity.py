"""Every block is llama.cpp's, byte for byte.

A short part runs always. ``nox -s parity_kernels`` compares a million blocks of every type, with an
importance matrix and without, and the weights of two trained models; it prints what it counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import DISTRIBUTIONS, EXTREME, importances, rows_of
from stock_ggml import NAMES, Rows, different, stock
from trained_rows import TRAINED

pytestmark = pytest.mark.bits

MILLION = 1_000_000


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_llama_cpp(
    name: str, distribution: str, library: uploader_kernels.Library
) -> None:
    random = np.random.default_rng(17)
    rows = rows_of(distribution, name, random, 5, 1280)
    for weights, importance in importances(random, 1280).items():
        truth = stock(rows, NAMES[name], importance)
        wrong, strange = different(library, rows, NAMES[name], importance, truth)
        assert wrong == 0, f"importance: {weights}"
        assert not strange or distribution in EXTREME, f"importance: {weights}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("blocks", [1, 3, 7, 17, 33])
def test_lanes_that_have_no_block_of_their_own_change_nothing(
    name: str, rows: int, blocks: int, library: uploader_kernels.Library
) -> None:
    kind = NAMES[name]
    random = np.random.default_rng(blocks)
    length = blocks * uploader_kernels.TYPES[kind][0]
    values = random.standard_normal((rows, length), dtype=np.float32)
    for importance in (None, random.random(length, dtype=np.float32)):
        truth = stock(values, kind, importance)
        assert different(library, values, kind, importance, truth) == (0, 0)


def test_scale_below_zero_is_kept_with_the_other_signs(library: uploader_kernels.Library) -> None:
    # The number of minus signs is made even by the first value of eight, the one that weighs much.
    eight = np.array([-1] + 7 * [1000], np.float32)
    importance = np.array([1] + 7 * [1e-6], np.float32)
    rows, weights = np.tile(eight, (1, 64)), np.tile(importance, 64)
    truth = stock(rows, NAMES["IQ3_XXS"], weights)
    assert different(library, rows, NAMES["IQ3_XXS"], weights, truth) == (0, 0)
    seven_signs = truth[0, 66] & 127
    assert seven_signs == 127


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_bytes(name: str, library: uploader_kernels.Library) -> None:
    data, strange = uploader_kernels.encode(library, np.empty((0, 512), np.float32), NAMES[name])
    assert data.shape[0] == 0
    assert len(strange) == 0


@pytest.mark.parametrize(("kind", "length"), [(12, 96), (2, 48), (0, 256)])
def test_rows_that_no_kernel_takes_are_named(
    kind: int, length: int, library: uploader_kernels.Library
) -> None:
    with pytest.raises(ValueError, match=f"type {kind} and rows of {length} values"):
        uploader_kernels.encode(library, np.zeros((1, length), np.float32), kind)


def test_blocks_left_to_llama_cpp_are_counted_over_all_rows(
    library: uploader_kernels.Library,
) -> None:
    rows = np.ones((3, 64), np.float32)
    rows[2, 32:] = 1e-40  # the quotient that levels are computed with is infinite
    _, strange = uploader_kernels.encode(library, rows, NAMES["Q4_0"])
    assert list(strange) == [5]


def test_rounding_to_half_is_that_of_numpy(library: uploader_kernels.Library) -> None:
    # The even halves of all numbers of 16 bits, what lies between two of them, and a bit beside it.
    with np.errstate(over="ignore", invalid="ignore"):
        halves = np.arange(0x7BFF, dtype=np.uint16).view(np.float16).astype(np.float32)
        middles = (halves[1:] + halves[:-1]) / 2
        values = np.concatenate(
            [halves, middles, np.nextafter(middles, 0), np.nextafter(middles, np.float32(1e9))]
        ).astype(np.float32)
        values = np.concatenate([values, -values])
        rounded, finite = uploader_kernels.round_half(library, values)
        expected = values.astype(np.float16).astype(np.float32)
    assert finite
    np.testing.assert_array_equal(rounded.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, np.float32(65520)])
@pytest.mark.parametrize("place", [0, 8, 16, 20])
def test_what_half_cannot_hold_is_seen_at_any_place(
    bad: float, place: int, library: uploader_kernels.Library
) -> None:
    values = np.ones(21, np.float32)
    values[place] = bad
    assert not uploader_kernels.round_half(library, values)[1]
    assert uploader_kernels.all_finite(library, values) == bool(np.isfinite(bad))


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "importance"])
@pytest.mark.parametrize("name", NAMES)
def test_a_million_blocks(
    name: str,
    weighted: bool,
    every_level: list[uploader_kernels.Library],
    capsys: pytest.CaptureFixture[str],
) -> None:
    random = np.random.default_rng([17, NAMES[name], weighted])
    tally = Tally(name=name, what="importance" if weighted else "plain", levels=every_level)
    while tally.blocks < MILLION:
        for distribution in DISTRIBUTIONS:
            rows = rows_of(distribution, name, random, 48, 4096)
            choices = [v for v in importances(random, 4096).values() if (v is not None) == weighted]
            tally.count(rows, choices[random.integers(len(choices))])
    with capsys.disabled():
        print(f"\n{tally}", flush=True)
    assert tally.wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", ["smollm2", "minilm"])
def test_weights_of_a_trained_model(
    model: str,
    name: str,
    every_level: list[uploader_kernels.Library],
    capsys: pytest.CaptureFixture[str],
) -> None:
    random = np.random.default_rng(17)
    tally = Tally(name=name, what=model, levels=every_level)
    for rows in TRAINED[model]():
        tally.count(rows, None)
        tally.count(rows, (random.random(rows.shape[1]) ** 4).astype(np.float32))
    with capsys.disabled():
        print(f"\n{tally}", flush=True)
    assert tally.wrong == tally.strange == 0


@dataclass(kw_only=True)
class Tally:
    """What was compared, at all levels."""

    name: str
    what: str
    levels: list[uploader_kernels.Library]
    blocks: int = 0
    wrong: int = 0
    strange: int = 0
    seconds: float = 0.0

    def count(self, rows: Rows, importance: Rows | None) -> None:
        start = time.perf_counter()
        truth = stock(rows, NAMES[self.name], importance)
        self.blocks += rows.size // uploader_kernels.TYPES[NAMES[self.name]][0]
        for library in self.levels:
            wrong, strange = different(library, rows, NAMES[self.name], importance, truth)
            self.wrong += wrong
            self.strange += strange
        self.seconds += time.perf_counter() - start

    def __str__(self) -> str:
        levels = ", ".join(library.level for library in self.levels)
        return (
            f"{self.name}, {self.what}: {self.blocks:,} blocks at {levels}: {self.wrong} differ,"
            f" {self.strange} left to llama.cpp, {self.seconds:.0f} s"
        )
