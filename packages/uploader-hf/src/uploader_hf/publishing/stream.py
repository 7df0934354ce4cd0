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
from collections.abc import Callable, Mapping
from pathlib import Path

from uploader_core.plugin import CancelledError, StepContext, UploadFile
from uploader_hf.publishing.xet_progress import XetReport


class Progress:
    """Adds up what several streams sent, whatever thread they are read in.

    Args:
        context: The step, for its progress.
        total: Bytes of all files.

    Attributes:
        phase: What is going on; small files are in the commit itself.
    """

    def __init__(self, context: StepContext, total: int) -> None:
        self.phase = "sending"
        self._context = context
        self._total = total
        self._guard = threading.Lock()
        self._started = time.monotonic()
        self._began: dict[str, float] = {}
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
            text = self._text(self.phase, stream.label, stream.sent, stream.size)
            self._context.progress(text, self._done, self._total)

    def through_xet(self, names: Mapping[str, str]) -> Callable[[XetReport], None]:
        """Return what counts one transfer through Xet, see
        :func:`uploader_hf.publishing.xet_progress.told`.

        It runs in a thread of the client's, where an error would be lost: it raises none.

        Args:
            names: Names at the destination, by the paths that Xet reads.
        """
        before = self._read
        files: dict[str, tuple[int, int]] = {}

        def tell(report: XetReport) -> None:
            with self._guard:
                done, read = self._done, self._read
                self._done = max(done, min(report.done, self._total))
                self._read = max(read, before + report.sent)
                files.update(report.files)
                if (done, read) == (self._done, self._read):
                    return  # it reports now and then, whether anything moves or not
                text = "sending through Xet"
                if files:
                    # The one with most to go.
                    path, (some, size) = max(
                        files.items(), key=lambda file: (file[1][1] - file[1][0], file[1][1])
                    )
                    text = self._text(text, names.get(path, Path(path).name), some, size)
                with contextlib.suppress(CancelledError):
                    self._context.progress(text, self._done, self._total)

        return tell

    def count(self, size: int) -> None:
        """Count bytes that are sent without a stream of ours."""
        with self._guard:
            self._done = min(self._total, self._done + size)
            self._read += size

    def _text(self, what: str, name: str, done: int, size: int) -> str:
        """Say how far one file is, and when it and all of them will be there."""
        now = time.monotonic()
        began = self._began.setdefault(name, now)
        parts = [
            f"{name} {100 * done // max(1, size)}%",
            _left(size - done, done, now - began, "left"),
            _left(self._total - self._done, self._read, now - self._started, "in all"),
        ]
        return f"{what}: {', '.join(filter(None, parts))}"


def _left(missing: int, moved: int, seconds: float, what: str) -> str:
    """Say when it is over at the pace so far; "" in the first second, which says nothing."""
    if seconds < 1 or not moved or not missing:
        return ""
    return f"{_clock(missing * seconds / moved)} {what}"


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
