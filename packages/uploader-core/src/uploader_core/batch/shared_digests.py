"""Digests of files that several runs of one process are made from, so that each is read once."""

from __future__ import annotations

import threading
from pathlib import Path

from uploader_core.machine.filesystems import stamp_of
from uploader_core.release.source_digests import SourceDigests


class SeenFiles:
    """What the runs of a batch read: size, time, inode and digest by path."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int, str]] = {}
        self._reading: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def reading(self, path: Path) -> threading.Lock:
        """Return what is held while a file is read: who else wants its digest waits for it."""
        with self._guard:
            return self._reading.setdefault(str(path), threading.Lock())

    def digest(self, path: Path) -> str | None:
        """Return the digest of a file that is as it was when it was read."""
        seen = self._seen.get(str(path))
        return seen[3] if seen is not None and seen[:3] == stamp_of(path) else None

    def add(self, path: Path, stamp: tuple[int, int, int], digest: str) -> None:
        self._seen[str(path)] = (*stamp, digest)


class SharedDigests(SourceDigests):
    """What a release remembers of the files that it was made from, and what other runs read.

    Args:
        internal: The ``.uploader`` folder of the release.
        believe: False forgets what earlier runs saw; what this batch read is believed.
        seen: Of the batch.
    """

    def __init__(self, internal: Path, *, believe: bool = True, seen: SeenFiles) -> None:
        super().__init__(internal, believe=believe)
        self._seen_files = seen

    def _hash(self, path: Path) -> str:
        with self._seen_files.reading(path):
            digest = self._seen_files.digest(path)
            if digest is None:
                digest = super()._hash(path)
                self._seen_files.add(path, self._known[str(path)][:3], digest)
            else:
                self._known[str(path)] = (*stamp_of(path), digest)
            return digest
