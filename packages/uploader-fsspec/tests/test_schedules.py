"""Seeded bad lines to moto's server: always the same digests, there and here.

Three run by default; all hundred with ``nox -s faults_fsspec``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from campaigns import figures, seeds
from stored_model import weights
from uploader_core.plugin import (
    CleanUpContext,
    FetchedSource,
    Receipt,
    TemporaryError,
    VerifyContext,
)
from uploader_fsspec.fetching import blocks
from uploader_fsspec.loopback import LoopbackS3
from uploader_fsspec.publishing.publish import clean_up
from uploader_fsspec.publishing.verify import verify
from uploader_fsspec.settings import Settings
from uploader_kit.proxy import FaultProxy

T = TypeVar("T")
DEFAULT = range(3)
RUNS = 8
"""How often a person would type the command again."""

SEEDS = seeds(range(100), DEFAULT)


@pytest.fixture(scope="module")
def totals(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Figures of the campaign, written at its end."""
    with figures(request, ("lines", "broken", "runs", "answered", "size"), said) as found:
        yield found


def said(found: dict[str, float]) -> str:
    return (
        f"{found['lines']:.0f} bad lines, {found['broken']:.0f} connections lost, "
        f"{found['runs']:.0f} runs; {found['answered'] / 1e6:.1f} MB came for "
        f"{found['size'] / 1e6:.1f} MB"
    )


def until_done(run: Callable[[], T]) -> tuple[T, int]:
    """Run until it is no matter of the line any more, and count."""
    for count in range(1, RUNS + 1):
        try:
            return run(), count
        except TemporaryError:
            continue
    raise AssertionError(f"not through after {RUNS} runs")


@pytest.fixture
def bad_line(line: FaultProxy) -> Callable[[int], FaultProxy]:
    """Make the line bad in the way of a seed."""

    def make(seed: int) -> FaultProxy:
        line.random = random.Random(seed)
        line.chance = line.random.uniform(0.2, 0.8)
        line.within = line.random.choice((2_000, 100_000, 1_000_000))
        return line

    return make


@pytest.mark.parametrize("seed", SEEDS)
def test_model_arrives_with_its_bytes(
    s3: LoopbackS3,
    bucket: str,
    bad_line: Callable[[int], FaultProxy],
    fetch: Callable[..., FetchedSource],
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    seed: int,
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 100_000)
    contents = {"config.json": b"{}", "model.safetensors": weights(1_000_000, seed)}
    for name, content in contents.items():
        s3.put(bucket, f"m/{name}", content)
    line = bad_line(seed)
    found, runs = until_done(lambda: fetch(f"s3://{bucket}/m"))
    assert {p.name: p.read_bytes() for p in found.path.iterdir()} == contents
    for name, value in (
        ("lines", 1), ("broken", line.broken), ("runs", runs), ("answered", line.answered),
        ("size", sum(map(len, contents.values()))),
    ):  # fmt: skip
        totals[name] += value


@pytest.mark.parametrize("seed", SEEDS)
def test_release_arrives_and_nothing_is_left_open(
    s3: LoopbackS3,
    bucket: str,
    bad_line: Callable[[int], FaultProxy],
    push: Callable[..., Receipt],
    seed: int,
) -> None:
    # Each third line carries a file in parts.
    size = 6_000_000 if seed % 3 == 2 else 300_000
    contents = {"x/model.safetensors": weights(size, seed), "x/a.json": b"{}", "README.md": b"#"}
    target = f"s3://{bucket}/releases/m"
    line = bad_line(seed)
    settings: dict[str, Any] = {"part_size": 5 << 20}
    until_done(lambda: push(target, contents, **settings))
    line.chance = 0
    there = s3.contents(bucket, "releases/m/")
    assert {name: there[name] for name in contents} == contents
    assert len(there) == len(contents) + 1
    assert not verify(VerifyContext(target=target, settings=Settings())).problems
    assert clean_up(CleanUpContext(target=target, why="failed", state=Path(), settings=Settings()))
    assert not s3.sessions(bucket)
