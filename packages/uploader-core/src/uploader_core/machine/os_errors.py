"""What the operating system says when it refuses something, in words that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from uploader_core.errors import RefusedError, SpaceError, TemporaryError, UploaderError
from uploader_core.machine import filesystems

_NO_SPACE = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "the disk quota of this account is used up",
    errno.EFBIG: "a file may not become larger here (ulimit -f, or the file system)",
}


def translate_os_error(error: OSError, path: Path) -> UploaderError:
    """Turn an operating-system error into one that says what to do.

    Args:
        error: From a write, or from a connection.
        path: What was written, where it was a write.
    """
    if isinstance(error, (ConnectionError, TimeoutError)):
        return TemporaryError(
            f"a connection was lost or not answered: {error}",
            safe="what arrived at a destination is compared and not sent again",
            next="run the same command again",
        )
    if error.errno in _NO_SPACE:
        free = filesystems.free_bytes(path) or 0
        return SpaceError(
            f"{_NO_SPACE[error.errno]} while writing {path.name}: {free:,} bytes are free",
            owner=f"the file system of {path.parent}",
            safe="every finished file is kept; no half-written file has a final name",
            next="free some space, or choose another place with --output, and run it again"
            if error.errno == errno.ENOSPC
            else "raise that limit, or choose another place with --output, and run it again",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RefusedError(
            f"cannot write {path}: {error.strerror}",
            owner=f"the permissions of {path.parent}",
            safe="nothing was changed",
            next="make the folder writable, or choose another with --output",
        )
    return UploaderError(
        f"cannot write {path}: {error}", safe="no half-written file has a final name"
    )
