"""How many bytes of disk folders take, at most, while something runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def on_disk(*folders: Path) -> int:
    """Return the bytes on disk of everything below some folders; holes take none."""
    total = 0
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    total += stat.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue
    return total


class Watch(threading.Thread):
    """Looks at folders as often as it can.

    Attributes:
        start: Bytes on disk before.
        peak: Most bytes on disk that were seen.
    """

    def __init__(self, *folders: Path) -> None:
        super().__init__(daemon=True)
        self.folders = folders
        self.start_size = self.peak = on_disk(*folders)
        self.looks = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            self.look()
            self._ended.wait(0.002)

    def look(self) -> None:
        self.peak = max(self.peak, on_disk(*self.folders))
        self.looks += 1

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()
        self.look()

    @property
    def added(self) -> int:
        """Bytes more than before, at most."""
        return self.peak - self.start_size
