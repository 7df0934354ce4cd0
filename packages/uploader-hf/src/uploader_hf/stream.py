"""Files that report how much of them was sent.

The client takes a seekable stream in place of a path, reads it once for its digest and once to send
it, and then uses plain LFS. The bytes of the second pass are progress.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path

from uploader_core.plugin import StepContext


class Progress:
    """Adds up what several streams sent, whatever thread they are read in."""

    def __init__(self, context: StepContext, what: str, total: int) -> None:
        self._context = context
        self._what = what
        self._total = total
        self._done = 0
        self._counting = False
        self._guard = threading.Lock()

    def start(self) -> None:
        """Begin to count; opening and hashing come before."""
        self._counting = True

    def add(self, count: int) -> None:
        if not self._counting:
            return
        with self._guard:
            self._done = min(self._total, self._done + count)
            self._context.progress(self._what, self._done, self._total)


class CountingFile(io.BufferedReader):
    """A file that tells a :class:`Progress` what is read of it."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(io.FileIO(path))
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress.add(len(data))
        return data
