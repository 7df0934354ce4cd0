"""Whether a folder is what a signature says: the same rules as OpenSSF's own verifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from uploader_core.plugin import Problem, hash_file
from uploader_provenance.signing.statement import Signed, is_beside


def compare_folder(
    folder: Path, signed: Signed, tick: Callable[[str], None] = lambda _: None
) -> tuple[Problem, ...]:
    """Compare every file of a folder with what was signed.

    Args:
        folder: To look at.
        signed: What the statement says.
        tick: Called with the name of each file before it is read.

    Returns:
        What differs: nothing may be missing, other than it was, a link, or there besides.
    """
    return tuple(_differences(folder, signed, tick))


def _differences(folder: Path, signed: Signed, tick: Callable[[str], None]) -> Iterator[Problem]:
    there = set()
    for place, folders, files in os.walk(folder):
        below = Path(place).relative_to(folder)
        folders[:] = [f for f in folders if not is_beside((below / f).as_posix(), signed)]
        for name in sorted((*folders, *files)):
            path = Path(place) / name
            named = (below / name).as_posix()
            if is_beside(named, signed):
                continue
            if path.is_symlink():
                there.add(named)
                yield Problem(path=named, what="is a symbolic link")
            elif name in files:
                there.add(named)
                tick(named)
                digest = signed.digests.get(named)
                if digest is None:
                    yield Problem(path=named, what="was not signed")
                elif what := _compare(path, digest):
                    yield Problem(path=named, what=what)
    for name in sorted(signed.digests.keys() - there):
        yield Problem(path=name, what="is missing")


def _compare(path: Path, digest: str) -> str:
    try:
        same = path.is_file() and hash_file(path)[1] == digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else "has other content than was signed"
