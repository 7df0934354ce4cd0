"""Check a release folder against its manifest. Reads only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uploader_core.errors import IntegrityError, UsageError
from uploader_core.files import child, hash_file
from uploader_core.manifest import NAME, SCHEMA


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One file that is not what the manifest says."""

    path: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Result of a check.

    Attributes:
        files: Number of files in the manifest.
        size: Their bytes.
        problems: Empty when all is well.
    """

    files: int
    size: int
    problems: tuple[Problem, ...]


def verify_folder(
    folder: Path, *, full: bool = True, tick: Callable[[str, int], None] = lambda *_: None
) -> Verification:
    """Compare a folder with its ``upload_manifest.json``.

    Args:
        folder: A release folder, or a downloaded copy of one of its repositories.
        full: Also compare every digest; False looks at names and sizes only.
        tick: Called with each file's name and size.

    Raises:
        UsageError: There is no manifest.
        IntegrityError: The manifest cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        raise UsageError(
            f"{folder} has no {NAME}", next="give the folder that `uploader run` wrote"
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
        if manifest["schema"] != SCHEMA:
            raise ValueError(f"schema {manifest['schema']!r}, expected {SCHEMA!r}")
        listed = [(str(f["path"]), int(f["size"]), str(f["sha256"])) for f in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}", next="run the release again") from error
    problems = []
    for name, size, digest in listed:
        what = _compare(child(folder, name), size, digest, full=full)
        if what is not None:
            problems.append(Problem(path=name, what=what))
        tick(name, size)
    return Verification(
        files=len(listed), size=sum(size for _, size, _ in listed), problems=tuple(problems)
    )


def _compare(path: Path, size: int, digest: str, *, full: bool) -> str | None:
    if path.is_symlink():
        return "is a symbolic link"
    if not path.is_file():
        return "is missing"
    actual = path.stat().st_size
    if actual != size:
        return f"has {actual:,} bytes, expected {size:,}"
    if full and hash_file(path)[1] != digest:
        return "has other content than recorded"
    return None
