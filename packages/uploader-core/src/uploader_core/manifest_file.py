"""``upload_manifest.json``, and files next to it that programs would load with what it lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from uploader_core.human_text import names_text

NAME = "upload_manifest.json"
CARD = "README.md"
SCHEMA = "uploader.manifest/1"

PUBLICATIONS = "publications.json"
"""Beside the manifest of a release folder: where the release was brought. It is known later than
what the manifest says, and never uploaded."""

DETACHED = "detached"
"""Key of the names of documents about the whole place, which are made when its manifest is done."""

LOADS = "loads"
"""Key of the patterns of names that programs load, so that files next to the listed ones show."""


def is_loaded(name: str, loads: Iterable[str]) -> bool:
    """Return whether programs look for a name; a star of a pattern does not cross a slash."""
    parts = PurePosixPath(name).parts
    return any(
        len(parts) == len(wanted := PurePosixPath(pattern).parts)
        and all(fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=True))
        for pattern in loads
    )


def files_in(folder: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, but for those of hidden folders."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            yield (Path(place) / name).relative_to(folder).as_posix()


def describe_foreign(names: Sequence[str], place: str) -> str:
    """Say of files of nobody that programs would load them."""
    return (
        f"{names_text(names)} in {place}: no release put "
        f"{'it' if len(names) == 1 else 'them'} there, and programs would load "
        f"{'it' if len(names) == 1 else 'them'} in place of this release's files or beside them"
    )
