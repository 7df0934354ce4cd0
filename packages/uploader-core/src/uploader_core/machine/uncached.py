"""Read and write past the page cache, where the platform and the file system offer it.

A release moves more bytes than the memory of the machine holds, and each of them once. Kept in the
page cache they push out everything else, and every page costs processor time, in a virtual machine
more than the work of a merge. What is in the cache already is taken from there.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from uploader_core.machine.file_calls import SECTOR, is_cached, read_at, set_direct

SMALL = 64 << 10
"""Bytes up to which asking the cache first costs more than it saves."""

Buffer = Any
"""What :class:`memoryview` takes; ``collections.abc.Buffer`` is younger than Python 3.10."""


def read_range(
    handle: int, offset: int, size: int, allocate: Callable[[int], Buffer] = bytearray
) -> memoryview:
    """Read a part of a file from the page cache if it is there or small, else from the disk.

    Args:
        handle: Descriptor that no other thread uses meanwhile.
        offset: First byte in the file.
        size: Bytes.
        allocate: Makes writable memory of at least so many bytes, for libraries that use theirs
            again; it need not be empty.

    Returns:
        The bytes, as a part of the memory.

    Raises:
        EOFError: The file is shorter.
        OSError: It cannot be read.
    """
    memory = _aligned(memoryview(allocate(size + 3 * SECTOR)).cast("B"))
    skip = offset % SECTOR
    start, wanted = offset - skip, skip + size
    done = 0
    if size > SMALL and not is_cached(handle, start, wanted) and set_direct(handle, True):
        whole = -(-wanted // SECTOR) * SECTOR
        try:
            while done < wanted:
                count = os.preadv(handle, [memory[done:whole]], start + done)
                done += count
                if not count or done % SECTOR:  # the end of the file
                    break
        except OSError:  # offered, and refused when used; the plain way tells if it is more
            pass
        finally:
            set_direct(handle, False)
    while done < wanted:
        count = read_at(handle, memory[done:wanted], start + done)
        if not count:
            raise EOFError(f"the file ends before byte {offset + size:,}")
        done += count
    return memory[skip:wanted]


def read_blocks(path: Path, size: int = 1 << 23) -> Iterator[memoryview]:
    """Read a file from start to end, the next block while the caller works on this one.

    Args:
        path: A file that nobody writes meanwhile.
        size: Bytes of a block; the last is shorter.

    Yields:
        Blocks in order, each valid until the next is asked for.

    Raises:
        OSError: It cannot be read, or became shorter meanwhile.
    """
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        if total <= min(size, SMALL):
            # A thread and its blocks would take longer than all of the file.
            yield memoryview(file.read())
        else:
            yield from _read_ahead(file.fileno(), path, total, size)


def _read_ahead(handle: int, path: Path, total: int, size: int) -> Iterator[memoryview]:
    with ThreadPoolExecutor(1) as reader:
        spare = [bytearray(size + 3 * SECTOR) for _ in range(2 if total > size else 1)]

        def read(start: int) -> memoryview:
            memory = spare[start // size % len(spare)]
            return read_range(handle, start, min(size, total - start), lambda _: memory)

        # One thread has the descriptor, whatever the caller does.
        coming: Future[memoryview] | None = reader.submit(read, 0)
        for start in range(0, total, size):
            assert coming is not None
            try:
                block = coming.result()
            except EOFError as error:
                raise OSError(errno.EIO, "became shorter while it was read", str(path)) from error
            coming = reader.submit(read, start + size) if start + size < total else None
            yield block


def _aligned(memory: memoryview) -> memoryview:
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return memory[-address % SECTOR :]
