"""What systems offer for files under different names, or not at all.

``uncached`` and ``background_file`` next to it, and the folder ``disk``, say when these are called
and why; only here is it asked which system this is.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from pathlib import Path

from uploader_core.machine import windows

SECTOR = 4096
"""Past the page cache, addresses, offsets and sizes have to be multiples of it."""

# Tolerated from fsync on a folder: 9P, NFS and some FUSE file systems do not offer it.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def set_direct(handle: int, direct: bool) -> bool:
    """Choose the way of a file descriptor: past the page cache, or through it.

    Returns:
        Whether it goes past the cache now. A file system may say so and still refuse the first
        read or write with ``EINVAL``.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    flags = fcntl.fcntl(handle, fcntl.F_GETFL) & ~os.O_DIRECT
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | (os.O_DIRECT if direct else 0))
    except OSError:
        return False
    return direct


def is_cached(handle: int, start: int, size: int) -> bool:
    """Return whether the page cache holds a whole part of a file; asking reads nothing."""
    if sys.platform != "linux" or not size:
        return True
    try:
        with mmap.mmap(handle, size, access=mmap.ACCESS_COPY, offset=start) as mapped:
            pages = -(-size // mmap.PAGESIZE)
            found = (ctypes.c_ubyte * pages)()
            first = ctypes.c_char.from_buffer(mapped)
            failed = ctypes.CDLL(None).mincore(ctypes.byref(first), ctypes.c_size_t(size), found)
            del first  # or it could not be closed
    except (OSError, ValueError):  # a file system that cannot map, or a file that became shorter
        return True
    return not failed and all(page & 1 for page in bytes(found))


def read_at(handle: int, memory: memoryview, offset: int) -> int:
    """Read bytes of a file into memory and return how many; 0 at its end."""
    if hasattr(os, "preadv"):
        return os.preadv(handle, [memory], offset)
    os.lseek(handle, offset, os.SEEK_SET)
    data = os.read(handle, min(len(memory), 1 << 20))
    memory[: len(data)] = data
    return len(data)


def append_at(handle: int, data: memoryview, end: int) -> int:
    """Write bytes at the end of a file and return how many.

    Args:
        handle: Of a file that is written front to back, by one thread at a time.
        data: What to write.
        end: Where the file ends.
    """
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, data, end)
    return os.write(handle, data)  # the file's own position is its end


def sync_data(handle: int) -> None:
    """Return when the content of a file is on disk; its times may be stored later."""
    getattr(os, "fdatasync", os.fsync)(handle)


def drop_cached(handle: int) -> None:
    """Give the memory back that caches what of a file is on disk already."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


def apply_umask(path: Path) -> None:
    """Give a file the mode that a new one gets from the user's umask.

    Libraries such as safetensors leave 0600, which locks out everybody else on a shared machine.
    """
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def rename(old: Path, new: Path) -> None:
    """Give a file another name, in place of the file that has it."""
    if os.name == "nt":
        # A virus scanner opens what was just written, and nothing can be renamed meanwhile.
        windows.patiently(lambda: old.replace(new))
    else:
        old.replace(new)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable, where the platform can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
