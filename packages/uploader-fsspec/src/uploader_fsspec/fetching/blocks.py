"""One file from a store: by blocks, several at once, and from where it was.

What arrived is on disk before it is written down, so a file that a kill or a lost line left behind
goes on at the blocks that are missing. It gets its name when all of it is there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path

from uploader_core.plugin import TemporaryError
from uploader_fsspec.store.store import BLOCK, Entry, Store

_AT_ONCE = 8
_PARTIAL, _BLOCKS = ".partial", ".blocks"


def fetch_file(store: Store, name: str, entry: Entry, target: Path) -> None:
    """Bring a file here, unless it is.

    Two processes may bring the same: they write the same bytes to the same places.

    Args:
        store: Where it is.
        name: Its name there.
        entry: What was listed; another object under that name is refused.
        target: Name here, in a folder that is only for this state of the store.

    Raises:
        TemporaryError: It was changed meanwhile, or the network.
        UploaderError: It is not there, or not for us.
    """
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, blocks = (target.with_name(target.name + end) for end in (_PARTIAL, _BLOCKS))
    # Not truncated, for what an earlier attempt brought counts; Windows would change line ends.
    file = os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _bring(store, name, entry, file, blocks)
        if store.entry(name) != entry:
            for left in (partial, blocks):
                left.unlink(missing_ok=True)
            raise TemporaryError(
                f"{name} in {store.address} was changed while it was fetched",
                owner="whoever wrote there",
                safe="nothing of it is used",
                next="run the same command again",
            )
        os.fsync(file)
    finally:
        os.close(file)
    blocks.unlink(missing_ok=True)
    if target.is_file():  # of another process, which was through before
        partial.unlink(missing_ok=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            partial.replace(target)


def _bring(store: Store, name: str, entry: Entry, file: int, blocks: Path) -> None:
    """Write the blocks that are missing, and note each when it is on disk."""
    count = -(-entry.size // BLOCK)
    if os.fstat(file).st_size != entry.size:
        blocks.unlink(missing_ok=True)
        os.ftruncate(file, entry.size)
    missing = [n for n in range(count) if n not in {*_noted(blocks)}]

    guard = threading.Lock()

    def bring(number: int) -> int:
        start = number * BLOCK
        content = memoryview(store.read_range(name, start, min(entry.size, start + BLOCK)))
        with guard:  # Windows has no pwrite
            os.lseek(file, start, os.SEEK_SET)
            while content:
                content = content[os.write(file, content) :]
        return number

    with blocks.open("ab", buffering=0) as notes, ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs: set[Future[int]] = {pool.submit(bring, number) for number in missing}
        try:
            while jobs:
                done, jobs = wait(jobs, return_when=FIRST_COMPLETED)
                _note(file, notes, done)
                for job in done:
                    job.result()
        except BaseException:
            for job in jobs:
                job.cancel()
            _note(file, notes, wait(jobs).done)  # those under way are not lost
            raise


def _note(file: int, notes: FileIO, jobs: Iterable[Future[int]]) -> None:
    """Write down the blocks that jobs brought, once they are on disk."""
    brought = [j.result() for j in jobs if not j.cancelled() and j.exception() is None]
    if brought:
        os.fsync(file)
        notes.write(b"".join(number.to_bytes(4, "little") for number in brought))


def _noted(blocks: Path) -> Iterator[int]:
    """Yield the numbers of the blocks that are there; a half-written one at the end is none."""
    with contextlib.suppress(FileNotFoundError):
        content = blocks.read_bytes()
        for at in range(0, len(content) - 3, 4):
            yield int.from_bytes(content[at : at + 4], "little")
