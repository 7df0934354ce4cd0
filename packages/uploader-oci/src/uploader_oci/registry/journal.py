"""What outlives an upload that broke off: the address of its session at the registry, by blob."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from uploader_core.plugin import parse_json

_SUFFIX = ".session.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """An upload that was begun.

    Attributes:
        host: Registry, with its port.
        repository: Its repository.
        digest: Of the blob.
        location: Address of the session: whoever knows it may go on with it.
        offset: Bytes that the registry confirmed.
        reached: Bytes that may have been sent, confirmed or not.
        begun: Time of the first request, seconds since 1970.
    """

    host: str
    repository: str
    digest: str
    location: str
    offset: int = 0
    reached: int = 0
    begun: float = 0.0

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return max(0.0, time.time() - self.begun)


class Journal:
    """Sessions in a folder, a file for each. One process at a time.

    Args:
        folder: Where to keep them; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, host: str, repository: str, digest: str) -> Session | None:
        """Return the session of a blob, None without one."""
        path = self._path(host, repository, digest)
        found = None if path is None else _load(path)
        same = found is not None and (found.host, found.repository, found.digest) == (
            host, repository, digest,
        )  # fmt: skip
        return found if same else None

    def save(self, session: Session) -> None:
        """Write a session down; a kill leaves the earlier note or this one."""
        path = self._path(session.host, session.repository, session.digest)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only for the owner: with the address anybody could go on with the upload. Not flushed to
        # the disk: without it the file is sent from its beginning, and nothing worse.
        new = path.with_name(path.name + ".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(session), file)
        new.replace(path)

    def drop(self, session: Session) -> None:
        """Forget a session."""
        path = self._path(session.host, session.repository, session.digest)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Session]:
        """Yield all sessions that can be read."""
        if self._folder is None:
            return
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            found = _load(path)
            if found is not None:
                yield found

    def _path(self, host: str, repository: str, digest: str) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256(f"{host}/{repository}@{digest}".encode()).hexdigest()[:32]
        return self._folder / (name + _SUFFIX)


def _load(path: Path) -> Session | None:
    try:
        return Session(**parse_json(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
