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
        self._counting = False
        self._guard = threading.Lock()
        self._done = 0

    def start(self) -> None:
        """Begin to count; opening and hashing come before."""
        self._counting = True

    @property
    def done(self) -> int:
        """Bytes sent so far, each file's at most once."""
        return self._done

    def add(self, stream: CountingFile, count: int) -> None:
        """Count what was read of a stream.

        A file is read again when a part is repeated, or for its git id: more than its size is no
        progress.
        """
        if not self._counting:
            return
        with self._guard:
            count = min(count, stream.size - stream.sent)
            stream.sent += count
            self._done += count
            self._context.progress(self._what, self._done, self._total)


class CountingFile(io.BufferedReader):
    """A file that tells a :class:`Progress` what is read of it.

    Attributes:
        size: Bytes of the file.
        sent: Those of them that were sent.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size
        self.sent = 0
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress.add(self, len(data))
        return data
