"""Files are stored block by block, past the page cache where that is offered, byte for byte."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from uploader_core.disk.safe_write import hash_file
from uploader_core.machine import background_file
from uploader_core.machine import uncached as direct
from uploader_core.machine.background_file import BLOCK, BackgroundFile
from uploader_core.machine.file_calls import SECTOR
from uploader_core.machine.uncached import read_blocks, read_range

SIZES = [0, 1, SECTOR, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + SECTOR + 7]


def numbers(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def store(path: Path, data: bytes, step: int) -> None:
    file = BackgroundFile(path)
    for start in range(0, len(data), step):
        file.write(memoryview(bytearray(data[start : start + step])))
    file.finish()
    file.close()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_in_odd_parts_is_what_is_read(tmp_path: Path, size: int) -> None:
    store(tmp_path / "file", numbers(size), step=1_234_567)
    assert (tmp_path / "file").read_bytes() == numbers(size)


def test_a_file_system_without_direct_access_gets_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_file, "set_direct", lambda handle, direct: False)
    monkeypatch.setattr(background_file, "WINDOW", 2 * BLOCK)
    store(tmp_path / "file", numbers(SIZES[-1]), step=BLOCK)
    assert (tmp_path / "file").read_bytes() == numbers(SIZES[-1])


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_file_system_in_memory_is_written_too(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"uploader-{os.getpid()}"
    try:
        store(path, numbers(SIZES[-1]), step=BLOCK)
        assert path.read_bytes() == numbers(SIZES[-1])
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX'")
def test_a_limit_met_in_the_thread_is_told_to_the_writer(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from uploader_core.machine.background_file import BLOCK, BackgroundFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK + 12345,) * 2)\n"
        "file = BackgroundFile(sys.argv[1])\n"
        "try:\n"
        "    for _ in range(6):\n"
        "        file.write(memoryview(bytes(BLOCK)))\n"
        "    file.finish()\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
        "finally:\n"
        "    file.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "27\n"  # EFBIG


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(("offset", "size"), [(0, 1), (1, 3 * SECTOR), (SECTOR - 1, 2), (77, 0)])
def test_a_range_is_read_from_any_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool, offset: int, size: int
) -> None:
    data = numbers(5 * SECTOR + 3)
    store(tmp_path / "file", data, step=len(data))
    monkeypatch.setattr(direct, "is_cached", lambda *_: cached)
    handle = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert bytes(read_range(handle, offset, size)) == data[offset : offset + size]
        tail = len(data) - 5
        assert bytes(read_range(handle, tail, 5)) == data[tail:]
        with pytest.raises(EOFError):
            read_range(handle, tail, 6)
    finally:
        os.close(handle)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_hashed_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool, size: int
) -> None:
    store(tmp_path / "file", numbers(size), step=size or 1)
    monkeypatch.setattr(direct, "is_cached", lambda *_: cached)
    assert hash_file(tmp_path / "file") == (size, hashlib.sha256(numbers(size)).hexdigest())


def test_a_file_that_shrinks_under_the_reader_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    store(path, numbers(5 * SECTOR), step=SECTOR)
    blocks = read_blocks(path, size=SECTOR)
    next(blocks)
    os.truncate(path, SECTOR)
    with pytest.raises(OSError, match="became shorter"):
        list(blocks)
