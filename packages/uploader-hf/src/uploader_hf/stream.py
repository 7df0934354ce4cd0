"""Files that report how much of them was sent, and what their digest was while they were.

The client takes a seekable stream in place of a path and then uses plain LFS. It is told size and
digest beforehand, so it reads the stream only to send it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import time
from collections.abc import Callable

from uploader_core.plugin import CancelledError, StepContext, UploadFile


class Progress:
    """Adds up what several streams sent, whatever thread they are read in.

    Args:
        context: The step, for its progress.
        repo: Repository, for the text.
        total: Bytes of all files.
    """

    def __init__(self, context: StepContext, repo: str, total: int) -> None:
        self._context = context
        self._repo = repo
        self._total = total
        self._guard = threading.Lock()
        self._started = time.monotonic()
        self._done = 0
        self._read = 0

    @property
    def done(self) -> int:
        """Bytes sent so far, each file's at most once."""
        return self._done

    @property
    def sent(self) -> int:
        """Bytes sent so far, those that were sent again included."""
        return self._read

    def add(self, stream: CountingFile, count: int) -> None:
        """Count what was read of a stream.

        A part that is repeated is read again: more than a file's size is no progress.
        """
        with self._guard:
            fresh = min(count, stream.size - stream.sent)
            stream.sent += fresh
            self._done += fresh
            self._read += count
            self._context.progress(self._text(stream), self._done, self._total)

    def through_xet(self) -> Callable[[int, int], None]:
        """Return what counts one transfer through Xet, see :func:`uploader_hf.xet_progress.told`.

        It runs in a thread of the client's, where an error would be lost: it raises none.
        """
        before = self._read

        def tell(done: int, sent: int) -> None:
            with self._guard:
                self._done = max(self._done, min(done, self._total))
                self._read = max(self._read, before + sent)
                text = f"sending to {self._repo} through Xet{self._pace(self._done)}"
                with contextlib.suppress(CancelledError):
                    self._context.progress(text, self._done, self._total)

        return tell

    def count(self, size: int) -> None:
        """Count bytes that are sent without a stream of ours."""
        with self._guard:
            self._done = min(self._total, self._done + size)
            self._read += size

    def _text(self, stream: CountingFile) -> str:
        share = 100 * stream.sent // max(1, stream.size)
        return f"sending to {self._repo}: {stream.label} {share}%{self._pace(self._read)}"

    def _pace(self, count: int) -> str:
        """Say how fast it goes, by the bytes that were worked through so far."""
        seconds = time.monotonic() - self._started
        if seconds < 1 or not count:
            return ""
        rate = count / seconds
        left = (self._total - self._done) / rate
        return f", {rate / 1e6:.1f} MB/s, {_clock(left)} left in all"


def _clock(seconds: float) -> str:
    whole = int(seconds + 0.5)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class CountingFile(io.BufferedReader):
    """A file that tells a :class:`Progress` what is read of it.

    Attributes:
        label: Name at the destination.
        size: Bytes of the file.
        sent: Those of them that were sent.
    """

    def __init__(self, file: UploadFile, progress: Progress) -> None:
        super().__init__(io.FileIO(file.path))
        self.label = file.name
        self.size = file.size
        self.sent = 0
        self._progress = progress
        self._digest = hashlib.sha256()
        self._hashed = 0

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        # In order and once: a repeated part is read again, and was hashed already.
        if start <= self._hashed < start + len(data):
            self._digest.update(data[self._hashed - start :])
            self._hashed = start + len(data)
        self._progress.add(self, len(data))
        return data

    @property
    def sha256(self) -> str | None:
        """Digest of what was read, None when that was not all of it."""
        return self._digest.hexdigest() if self._hashed >= self.size else None
