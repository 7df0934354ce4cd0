"""The end of what a job printed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_MOST = 64 << 10


def read_tail(path: Path, lines: int) -> str:
    """Return the last lines of a file, "" where it is not there; of long ones the end is read.

    Args:
        path: The file.
        lines: How many, at most.
    """
    with contextlib.suppress(OSError), path.open("rb") as printed:
        size = printed.seek(0, os.SEEK_END)
        printed.seek(max(0, size - _MOST))
        return "\n".join(printed.read().decode("utf-8", "replace").splitlines()[-lines:])
    return ""
