"""Files that a thread stores while the next bytes are being made.

An operating system keeps what is written in memory and begins late to store it: then ``fsync``
waits for gigabytes at once, and everything else that was cached is gone, that of the desktop
included. Here whole blocks go straight from memory to the disk, see
:mod:`uploader_core.machine.uncached`. Where a file system does not offer that, what was written is
stored and dropped from the cache window by window.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from uploader_core.machine.file_calls import SECTOR, append_at, drop_cached, set_direct, sync_data

BLOCK = 8 << 20
"""Bytes handed to the disk at once."""

WINDOW = 64 << 20
"""Bytes after which a cached part is stored, where the cache cannot be avoided."""

# Handed over and not written yet; one more is being filled.
_BLOCKS = 2
_WORTH_SHARING = 64 << 10


class BackgroundFile:
    """A new file, written front to back.

    Args:
        path: Replaced when it exists. What is small enough for one block is written by
            :meth:`finish` alone, without a thread.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        self._handle = os.open(path, flags, 0o666)
        self._direct = False
        self._thread: ThreadPoolExecutor | None = None
        self._writing: deque[tuple[mmap.mmap, Future[None]]] = deque()
        self._block = mmap.mmap(-1, BLOCK)
        self._filled = 0
        self._start = 0
        self._stored = 0

    def write(self, data: memoryview) -> int:
        """Take all of some bytes, which are copied, and return how many they are.

        Args:
            data: One-dimensional, of single bytes.

        Raises:
            OSError: Earlier bytes could not be written.
        """
        position = 0
        while position < len(data):
            if self._filled == BLOCK:
                self._next_block()
            count = min(BLOCK - self._filled, len(data) - position)
            _copy(self._block, self._filled, data[position : position + count])
            self._filled += count
            position += count
        return position

    def finish(self) -> None:
        """Return when everything is on disk.

        Raises:
            OSError: Something could not be written.
        """
        while self._writing:
            self._writing.popleft()[1].result()
        self._direct = set_direct(self._handle, False)  # the last block is seldom full
        self._write(self._block, self._filled, self._start)
        os.fsync(self._handle)
        if self._thread is not None:
            drop_cached(self._handle)

    def close(self) -> None:
        """Wait for the thread and close the file, finished or not."""
        if self._handle < 0:
            return
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        os.close(self._handle)
        self._handle = -1

    def _next_block(self) -> None:
        """Hand the full block to the thread and take an empty one."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="storing")
            self._direct = set_direct(self._handle, True)
        job = self._thread.submit(self._store, self._block, self._start)
        self._writing.append((self._block, job))
        self._start += BLOCK
        self._filled = 0
        if len(self._writing) < _BLOCKS:
            self._block = mmap.mmap(-1, BLOCK)
        else:
            self._block, job = self._writing.popleft()
            job.result()

    def _store(self, block: mmap.mmap, start: int) -> None:
        self._write(block, BLOCK, start)
        if not self._direct and start + BLOCK - self._stored >= WINDOW:
            sync_data(self._handle)
            self._stored = start + BLOCK
            drop_cached(self._handle)

    def _write(self, block: mmap.mmap, size: int, start: int) -> None:
        position = 0
        with memoryview(block) as view:
            while position < size:
                try:
                    position += append_at(self._handle, view[position:size], start + position)
                except OSError as error:
                    # Offered when asked for, refused when used: some FUSE and network systems.
                    if not self._direct or error.errno != errno.EINVAL:
                        raise
                    self._direct = set_direct(self._handle, False)
                if position % SECTOR:  # a full disk or a limit cut the block: it will say so next
                    self._direct = set_direct(self._handle, False)


def _copy(block: mmap.mmap, start: int, data: memoryview) -> None:
    if data.readonly or len(data) < _WORTH_SHARING:
        block[start : start + len(data)] = data
        return
    # Other threads run meanwhile, which an assignment does not let them.
    target, source = ctypes.c_char.from_buffer(block, start), ctypes.c_char.from_buffer(data)
    ctypes.memmove(ctypes.addressof(target), ctypes.addressof(source), len(data))
