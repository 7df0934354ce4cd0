"""Large files go to the disk while they are still being written.

An operating system keeps what is written in memory and begins late to store it: then ``fsync``
waits for gigabytes at once, and everything else that was cached is gone, that of the desktop
included. Here a thread stores each window behind the writer and gives its memory back, so that the
disk works all the time and a release of 60 GB takes 100 MB of the page cache.
"""

from __future__ import annotations

import os
import threading

WINDOW = 64 << 20
"""Bytes after which the next part is stored."""


class Writeback:
    """Stores a growing file window by window.

    Args:
        handle: Descriptor of a file that is written front to back. It has to stay open until
            :meth:`finish`.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._stored = 0
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def advance(self, size: int) -> None:
        """Say how many bytes are written by now; begins to store them when it is worth it.

        Raises:
            OSError: An earlier window could not be stored.
        """
        if size - self._stored < WINDOW or (self._thread and self._thread.is_alive()):
            return
        self._raise_error()
        self._stored = size
        self._thread = threading.Thread(target=self._store, args=(size,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Return when everything is on disk.

        Raises:
            OSError: Something could not be stored.
        """
        self.stop()
        self._raise_error()
        os.fsync(self._handle)
        if self._stored:
            self._forget(0)

    def stop(self) -> None:
        """Wait for the window that is being stored."""
        if self._thread is not None:
            self._thread.join()

    def _store(self, size: int) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(self._handle)
            self._forget(size)
        except OSError as error:
            self._error = error

    def _forget(self, size: int) -> None:
        """Give back the memory of the first bytes, of all when 0; they are on disk."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, 0, size, os.POSIX_FADV_DONTNEED)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
