"""Check a release folder against its manifest. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from uploader_core.artifact import ArtifactFile
from uploader_core.destinations.verification import Problem, Verification
from uploader_core.disk.safe_write import child, hash_file
from uploader_core.errors import IntegrityError, UsageError
from uploader_core.manifest_file import DETACHED, LOADS, NAME, SCHEMA, files_in, is_loaded
from uploader_core.untrusted_json import expect, parse_json, read_as

KEPT = "kept"
"""Key of files next to the release that its owner chose to keep."""


def read_manifest(text: str | bytes, where: str) -> tuple[ArtifactFile, ...]:
    """Return the files that an ``upload_manifest.json`` lists.

    Args:
        text: Its content.
        where: Where it was found, for messages.

    Raises:
        IntegrityError: It cannot be read.
    """
    try:
        manifest = parse_json(text)
        if manifest["schema"] != SCHEMA:
            raise ValueError(f"schema {manifest['schema']!r}, expected {SCHEMA!r}")
        return tuple(
            read_as(ArtifactFile, {**file, "name": file["path"]}) for file in manifest["files"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{where} is damaged: {error}", next="run the release again"
        ) from error


def detached_in(manifest: str | bytes, where: str) -> tuple[str, ...]:
    """Return the names of documents about the whole place, which have no digest in its manifest.

    Args:
        manifest: Content of an ``upload_manifest.json``.
        where: Where it was found, for messages.

    Raises:
        IntegrityError: It cannot be read, or names a file elsewhere.
    """
    try:
        # Manifests of older versions have none.
        names = [expect(x, str) for x in expect(parse_json(manifest).get(DETACHED, []), list)]
    except ValueError as error:
        raise IntegrityError(
            f"{where} is damaged: {error}", next="run the release again"
        ) from error
    for name in names:
        child(Path(), name)
    return tuple(names)


def find_strangers(manifest: str | bytes, there: Iterable[str]) -> tuple[Problem, ...]:
    """Return the files that a manifest does not list and that programs would load.

    Args:
        manifest: Content of an ``upload_manifest.json``.
        there: Names of all files next to it.

    Raises:
        IntegrityError: It cannot be read.
    """
    listed = read_manifest(manifest, NAME)
    data = parse_json(manifest)
    try:
        # Manifests of older versions have neither.
        loads, kept = (
            [expect(x, str) for x in expect(data.get(k, []), list)] for k in (LOADS, KEPT)
        )
    except ValueError as error:
        raise IntegrityError(f"{NAME} is damaged: {error}", next="run the release again") from error
    ours = {NAME, *kept, *detached_in(manifest, NAME), *(file.name for file in listed)}
    others = {*there} - ours
    return tuple(
        Problem(path=name, what="is of no release, and programs would load it")
        for name in sorted(others)
        if is_loaded(name, loads)
    )


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
    manifest = path.read_bytes()
    listed = read_manifest(manifest, str(path))
    problems = [*find_strangers(manifest, files_in(folder))]
    for file in listed:
        what = _compare(child(folder, file.name), file.size, file.sha256, full=full)
        if what is not None:
            problems.append(Problem(path=file.name, what=what))
        tick(file.name, file.size)
    problems += [
        Problem(path=name, what="is missing")
        for name in detached_in(manifest, str(path))
        if not child(folder, name).is_file()
    ]
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=tuple(problems),
        where=str(folder),
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
