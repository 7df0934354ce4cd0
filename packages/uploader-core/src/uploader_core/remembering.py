"""What several workers of a batch would compute from the same files, computed by the first of them.

A batch names a private folder in :data:`VARIABLE` and removes it when it ends. A run that is alone
has none, and computes everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from uploader_core.artifact import Json
from uploader_core.untrusted_json import parse_json

T = TypeVar("T")

VARIABLE = "UPLOADER_BATCH_MEMORY"
"""Environment variable that names the folder."""

MOST = 1 << 30
"""Bytes that are kept at most."""


def is_remembering() -> bool:
    """Return whether this process belongs to a batch, so that a key is worth its price."""
    return bool(os.environ.get(VARIABLE))


def remembered(what: str, key: Json, make: Callable[[], T]) -> T:
    """Return what a function makes, which another worker of the batch may have made already.

    Args:
        what: What it is, with the version of what makes it.
        key: Everything that it depends on; digests for the content of files.
        make: Makes it. The result has to be JSON: no tuples, and texts as names.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return make()
    digest = hashlib.sha256(json.dumps([what, key], sort_keys=True).encode()).hexdigest()
    path = Path(folder) / f"{digest}.json"
    with contextlib.suppress(OSError, ValueError):
        known: T = parse_json(path.read_bytes())
        return known
    made = make()
    with contextlib.suppress(OSError, TypeError, ValueError):
        _keep(path, json.dumps(made).encode("ascii"))
    return made


def digests_of(files: Mapping[str, Path]) -> dict[str, Json]:
    """Return the digests of small files, for a key.

    Args:
        files: By the names that they go by.
    """
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def _keep(path: Path, data: bytes) -> None:
    if sum(entry.stat().st_size for entry in path.parent.iterdir()) + len(data) > MOST:
        return
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(partial).replace(path)
