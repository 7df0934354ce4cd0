"""Digests of source files, so that an unchanged model is not read for every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from uploader_core.artifact import Artifact, Json
from uploader_core.disk.safe_write import hash_file, write_json
from uploader_core.errors import SourceError
from uploader_core.machine.filesystems import stamp_of
from uploader_core.untrusted_json import parse_json, read_as

_Seen = tuple[int, int, int, str]
"""Size, time, inode and digest of a file."""


class SourceDigests:
    """What a release remembers of the files that it was made from.

    Args:
        internal: The ``.uploader`` folder of the release.
        believe: False forgets what earlier runs saw.
    """

    def __init__(self, internal: Path, *, believe: bool = True) -> None:
        self._file = internal / "digests.json"
        self._known = self._read() if believe else {}

    def knows(self, artifact: Artifact) -> bool:
        """Return whether the digests of all files are remembered."""
        return all(self._look_up(artifact.path / file.name) for file in artifact.files)

    def fill(
        self, artifact: Artifact, tick: Callable[[str, int], None] = lambda *_: None
    ) -> Artifact:
        """Return a source with its digests; files whose digest is not remembered are read.

        Args:
            artifact: The source.
            tick: Called with each file's name and size.

        Raises:
            SourceError: A file changed while it was read.
        """
        files = []
        for file in artifact.files:
            path = artifact.path / file.name
            files.append(replace(file, sha256=self._look_up(path) or self._hash(path)))
            tick(file.name, file.size)
        return replace(artifact, files=tuple(files))

    def save(self) -> None:
        """Remember for the next run."""
        if self._known:
            digests: dict[str, Json] = {name: [*seen] for name, seen in self._known.items()}
            write_json(self._file, digests)

    def _read(self) -> dict[str, _Seen]:
        """Return what is remembered; nothing of a file that no run of ours wrote."""
        try:
            return read_as(dict[str, _Seen], parse_json(self._file.read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    def _look_up(self, path: Path) -> str | None:
        known = self._known.get(str(path))
        return known[3] if known is not None and known[:3] == stamp_of(path) else None

    def _hash(self, path: Path) -> str:
        before = stamp_of(path)
        digest = hash_file(path)[1]
        if stamp_of(path) != before:
            raise SourceError(
                f"{path} changed while it was read",
                safe="nothing was written",
                next="wait until the training has finished, then run it again",
            )
        self._known[str(path)] = (*before, digest)
        return digest
