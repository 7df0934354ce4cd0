"""The most memory of its own that a process had, read from Linux' ``/proc``."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

_STATUS = Path("/proc/self/status")


class Peak:
    """Looks again and again at what this process has, and writes the most to a file.

    Args:
        path: Gets one number, bytes above what there was at the beginning. Nothing is written
            where the system does not tell.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._guard = threading.Lock()
        self._most = self._mapped = 0
        self._told = -1
        self._idle = _read().get("RssAnon", 0)

    def start(self) -> None:
        """Look, 50 times in a second, until the process ends."""
        if self._idle:
            threading.Thread(target=self._keep_looking, daemon=True).start()

    def look(self) -> None:
        """Look once."""
        found = _read()
        with self._guard:
            self._mapped = max(self._mapped, found.get("RssFile", 0) + found.get("RssShmem", 0))
            # Between two looks there may have been more, which the system's own mark tells; what
            # was mapped from files is in it, and is not the process's own.
            marked = found.get("VmHWM", 0) - self._mapped
            self._most = max(self._most, found.get("RssAnon", 0), marked)
            more = self._most - self._idle
            if more > self._told:
                self._told = more
                os.pwrite(self._file, b"%d" % more, 0)

    def _keep_looking(self) -> None:
        while True:
            self.look()
            time.sleep(0.02)


def _read() -> dict[str, int]:
    found = {}
    with contextlib.suppress(OSError), _STATUS.open(encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("RssAnon", "RssFile", "RssShmem", "VmHWM"):
                found[name] = int(rest.split()[0]) << 10
    return found
