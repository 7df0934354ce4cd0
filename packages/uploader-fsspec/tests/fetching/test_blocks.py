"""Files over bad lines: lost connections, kills, and objects that change meanwhile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from line_filesystem import LineFileSystem
from stored_model import MODEL, weights
from uploader_core.plugin import FetchedSource, SourceError, TemporaryError
from uploader_fsspec.fetching import blocks
from uploader_fsspec.fetching.blocks import fetch_file
from uploader_fsspec.loopback import LoopbackS3
from uploader_fsspec.store import store
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.store import Entry, Store
from uploader_kit.proxy import FaultProxy

SIZE = 1_000_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have many blocks in little."""
    monkeypatch.setattr(blocks, "BLOCK", 100_000)


@pytest.fixture
def there(wire: type[LineFileSystem]) -> Store:
    """A folder behind ``line://`` with a file in it."""
    place = open_store("line://bucket/x", SourceError)
    place.put_bytes("model.safetensors", weights(SIZE))
    return place


@pytest.fixture
def entry(there: Store) -> Entry:
    """What is listed of the file."""
    return there.list_folder()[0]["model.safetensors"]


def test_lost_connection_costs_the_block_that_it_carried(
    there: Store, entry: Entry, wire: type[LineFileSystem], tmp_path: Path
) -> None:
    wire.breaks = 3
    fetch_file(there, "model.safetensors", entry, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == weights(SIZE)
    assert len(wire.reads) == len({*wire.reads}) == 11


def test_what_was_interrupted_goes_on_at_the_blocks_that_are_missing(
    there: Store, entry: Entry, wire: type[LineFileSystem], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(blocks, "_AT_ONCE", 1)
    read = there.read_range

    def stopped(name: str, start: int, stop: int) -> bytes:
        if start >= 600_000:
            raise KeyboardInterrupt
        return read(name, start, stop)

    monkeypatch.setattr(there, "read_range", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch_file(there, "model.safetensors", entry, tmp_path / "f")
    assert not (tmp_path / "f").exists()
    monkeypatch.setattr(there, "read_range", read)
    wire.reads.clear()
    fetch_file(there, "model.safetensors", entry, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == weights(SIZE)
    assert min(start for _, start, _ in wire.reads) >= 500_000
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_object_that_changes_meanwhile_stops_the_run(
    there: Store, entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = there.read_range

    def changing(name: str, start: int, stop: int) -> bytes:
        content = read(name, start, stop)
        there.put_bytes(name, weights(SIZE, seed=1))
        return content

    monkeypatch.setattr(there, "read_range", changing)
    with pytest.raises(TemporaryError, match="was changed while it was fetched"):
        fetch_file(there, "model.safetensors", entry, tmp_path / "f")
    assert not list(tmp_path.iterdir())


def test_answer_that_is_shorter_than_asked_for_is_none(
    there: Store, entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ATTEMPTS", 2)
    longer = Entry(size=entry.size + 5, identity=entry.identity)
    with pytest.raises(TemporaryError, match="bytes came, not"):
        there.read_range("model.safetensors", SIZE, longer.size + 100)
    assert not list(tmp_path.iterdir())


@pytest.fixture(params=range(3))
def bad_line(request: pytest.FixtureRequest, line: FaultProxy) -> Iterator[FaultProxy]:
    """All connections are lost, after any number of bytes: nobody knows how many there will be."""
    line.random, line.chance, line.within = random.Random(request.param), 1.0, 2_000_000
    yield line


def test_model_arrives_over_a_bad_line(
    model: str, bad_line: FaultProxy, fetch: Callable[..., FetchedSource], cache: Path
) -> None:
    for _ in range(2):
        found = fetch(model)
        assert (found.path / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
        shutil.rmtree(cache)
    assert bad_line.broken


def test_one_that_is_there_is_not_asked_for(
    s3: LoopbackS3, bucket: str, line: FaultProxy, tmp_path: Path
) -> None:
    s3.put(bucket, "x/a.json", b"1")
    place = open_store(f"s3://{bucket}/x", SourceError)
    (tmp_path / "a.json").write_bytes(b"1")
    fetch_file(place, "a.json", Entry(size=1, identity="x"), tmp_path / "a.json")
    assert not line.connections
