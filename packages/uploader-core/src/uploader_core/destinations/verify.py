"""Check a release folder against its manifest. Reads only."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from uploader_core.artifact import ArtifactFile
from uploader_core.destinations.verification import Problem, Verification
from uploader_core.disk.safe_write import child, hash_file
from uploader_core.errors import IntegrityError, UsageError
from uploader_core.manifest_file import DETACHED, LOADS, NAME, SCHEMA, files_in, is_loaded
from uploader_core.untrusted_json import expect, parse_json, read_as, read_text

_LARGEST_MANIFEST = 64 << 20
"""Bytes of a manifest; one of a hundred thousand files has 20 MB."""

_LARGEST = 16 << 20
"""Bytes; no document about a place is larger, even one of a hundred thousand files."""

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
        raise _damaged(where, error) from error


def detached_in(manifest: str | bytes, where: str) -> tuple[str, ...]:
    """Return the names of documents about the whole place, which have no digest in its manifest.

    Args:
        manifest: Content of an ``upload_manifest.json``.
        where: Where it was found, for messages.

    Raises:
        IntegrityError: It cannot be read, or names a file elsewhere.
    """
    names = _texts(manifest, DETACHED, where)
    for name in names:
        child(Path(), name)
    return names


def _texts(manifest: str | bytes, key: str, where: str) -> tuple[str, ...]:
    """Return a list of a manifest that those of older versions do not have."""
    try:
        return tuple(expect(x, str) for x in expect(parse_json(manifest).get(key, []), list))
    except (ValueError, AttributeError) as error:
        raise _damaged(where, error) from error


def find_strangers(manifest: str | bytes, there: Iterable[str]) -> tuple[Problem, ...]:
    """Return the files that a manifest does not list and that programs would load.

    Args:
        manifest: Content of an ``upload_manifest.json``.
        there: Names of all files next to it.

    Raises:
        IntegrityError: It cannot be read.
    """
    loads, kept = (_texts(manifest, key, NAME) for key in (LOADS, KEPT))
    return tuple(
        Problem(path=name, what="is of no release, and programs would load it")
        for name in find_others(manifest, there)
        if name not in kept and is_loaded(name, loads)
    )


def find_others(manifest: str | bytes, there: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the files that a manifest does not know.

    Args:
        manifest: Content of an ``upload_manifest.json``.
        there: Names of all files next to it.

    Raises:
        IntegrityError: It cannot be read.
    """
    listed = read_manifest(manifest, NAME)
    ours = {NAME, *detached_in(manifest, NAME), *(file.name for file in listed)}
    return tuple(sorted({*there} - ours))


def read_detached(
    manifest: bytes, there: Mapping[str, int], read: Callable[[str], bytes]
) -> tuple[Mapping[str, bytes], tuple[Problem, ...]]:
    """Read the documents about a whole place, for :attr:`Verification.documents`.

    Args:
        manifest: Content of an ``upload_manifest.json``, which is one of them.
        there: Bytes of all files next to it, by name.
        read: Returns the content of one.

    Returns:
        Their contents by name, and what is wrong with the others.

    Raises:
        IntegrityError: It cannot be read.
    """
    found, problems = {NAME: manifest}, []
    for name in detached_in(manifest, NAME):
        if name not in there:
            problems.append(Problem(path=name, what="is missing"))
        elif there[name] > _LARGEST:
            what = f"has {there[name]:,} bytes, far too many for a document"
            problems.append(Problem(path=name, what=what))
        else:
            found[name] = read(name)
    return found, tuple(problems)


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
        manifest = read_text(path, most=_LARGEST_MANIFEST).encode()
    except ValueError as error:
        raise _damaged(str(path), error) from error
    listed = read_manifest(manifest, str(path))
    looked = {name: (folder / name).lstat() for name in files_in(folder)}
    there = {name: found.st_size for name, found in looked.items()}
    problems = [*find_strangers(manifest, there)]
    for file in listed:
        try:
            what = _compare(child(folder, file.name), file.size, file.sha256, full=full)
        except OSError as error:  # a name that no file can have
            what = f"cannot be read: {error.strerror}"
        if what is not None:
            problems.append(Problem(path=file.name, what=what))
        tick(file.name, file.size)
    # A link leads elsewhere, and a pipe has no end.
    files = {name: there[name] for name, found in looked.items() if stat.S_ISREG(found.st_mode)}
    documents, missing = read_detached(manifest, files, lambda name: (folder / name).read_bytes())
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=(*problems, *missing),
        where=str(folder),
        documents=documents,
        others=find_others(manifest, there),
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


def _damaged(where: str, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{where} is damaged: {error}",
        owner=where,
        safe="nothing was changed",
        next="run the release again, or get it once more from where it was published",
    )
