"""Files of a folder, with their digests, and what changed in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.disk.safe_write import hash_file


def with_digests(artifact: Artifact) -> Artifact:
    """Return a source artifact with the digests of its files."""
    files = []
    for file in artifact.files:
        size, digest = hash_file(artifact.path / file.name)
        files.append(replace(file, size=size, sha256=digest))
    return replace(artifact, files=tuple(files))


def files_below(folder: Path) -> dict[str, ArtifactFile]:
    """Return every file below a folder by POSIX name, with size and digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            size, digest = hash_file(path)
            found[name] = ArtifactFile(name=name, size=size, sha256=digest)
    return found


@contextlib.contextmanager
def unchanged(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Compare folders before and after; the list is filled with what changed."""
    before = {folder: files_below(folder) for folder in folders}
    changed: list[str] = []
    yield changed
    for folder, files in before.items():
        now = files_below(folder)
        changed += [
            str(folder / n) for n in files.keys() | now.keys() if files.get(n) != now.get(n)
        ]


@contextlib.contextmanager
def untouched(folder: Path, *, but: Path) -> Iterator[list[str]]:
    """Compare what is in a folder before and after; the list is filled with what changed.

    Args:
        folder: Files are told apart by size and time.
        but: What is in this one is left out.
    """
    before = _stamps(folder, but)
    changed: list[str] = []
    yield changed
    now = _stamps(folder, but)
    changed += sorted(str(p) for p in before.keys() | now.keys() if before.get(p) != now.get(p))


def _stamps(folder: Path, but: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and but not in path.parents
    }
