"""A folder of a store, by fsspec alone: listed, read by ranges, written, proven by reading back."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import IntegrityError, RefusedError, UploadFile, hash_file
from uploader_fsspec.store.address import Address
from uploader_fsspec.store.errors import is_passing, translated

BLOCK = 8 << 20
"""Bytes of one request of a large file."""

_AT_ONCE = 4

ATTEMPTS = 6
"""Requests for one range, over lost connections."""

_IDENTITIES = ("ETag", "etag", "generation", "blob_id", "md5Hash", "content_md5")
"""What implementations tell of an object that changes with its content, the most exact first."""

_READ_AT = ("time", "atime", "last_access_time")
"""What implementations call the moment when a file was read, which says nothing of its content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One object.

    Attributes:
        size: Bytes.
        identity: Changes with its content; what exactly it is depends on the store.
    """

    size: int
    identity: str


class Store:
    """The folder of an address; names are relative to it.

    Args:
        address: The folder.
        filesystem: Of fsspec, for its protocol.
        path: The folder as the file system writes it.
        missing: Class of the error where something is not there.
        another: Opens one more of the file system, for the next thread or after a lost connection.
    """

    def __init__(
        self,
        address: Address,
        filesystem: Any,
        path: str,
        missing: type[RefusedError],
        *,
        another: Callable[[], Any] | None = None,
    ) -> None:
        self.address = address
        self.filesystem = filesystem
        self.path = path.rstrip("/")
        self.missing = missing
        self._another = another
        self._idle = [filesystem]

    # -- what is there -------------------------------------------------------------------------

    def list_folder(self, folder: str = "") -> tuple[dict[str, Entry], tuple[str, ...]]:
        """Return the files right in a folder, and the names of the folders in it.

        Raises:
            RefusedError: There is no such folder, in the class that was asked for.
        """
        with self.errors("listing"), self._lent() as filesystem:
            found = filesystem.ls(self._whole(folder), detail=True)
        files, folders = {}, []
        for info in found:
            name = self._name(info)
            if info.get("type") == "directory":
                folders.append(name)
            elif name and not name.endswith("/"):  # an empty object that stands for a folder
                files[name] = self._listed(name, info)
        return files, tuple(sorted(folders))

    def list_all(self) -> dict[str, Entry]:
        """Return all files below the folder; none where it does not exist."""
        with self.errors("listing"), self._lent() as filesystem:
            found = filesystem.find(self.path, detail=True)
        infos = {self._name(i): i for i in found.values() if i.get("type") != "directory"}
        return {
            name: self._listed(name, info)
            for name, info in infos.items()
            if name and not name.endswith("/")
        }

    def entry(self, name: str) -> Entry:
        """Ask for one file anew."""
        with self.errors(f"looking at {name}"):
            with self._lent() as filesystem:
                info = filesystem.info(self._whole(name))
            # Where no key is known, everything that is told: times change where content does.
            told = {k: v for k, v in info.items() if k not in _READ_AT or "mtime" not in info}
            identity = _identity(info) or json.dumps(told, sort_keys=True, default=str)
            return Entry(size=int(info.get("size") or 0), identity=identity)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes of a file, over lost connections.

        Raises:
            UploaderError: It is not there, not for us, or the network.
        """
        with self.errors(f"reading {name}"):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with self._lent() as filesystem:
                        content: bytes = filesystem.cat_file(
                            self._whole(name), start=start, end=stop
                        )
                    if len(content) != stop - start:
                        raise OSError(f"{len(content):,} bytes came, not {stop - start:,}")
                    return content
                except Exception as error:
                    if attempt == ATTEMPTS or not is_passing(error):
                        raise
                    time.sleep(min(5.0, 0.1 * 2**attempt))
        raise AssertionError("unreachable")

    def read(self, name: str, size: int) -> bytes:
        """Return a small file of a size that is known."""
        return self.read_range(name, 0, size) if size else b""

    def digest(self, name: str, size: int) -> str:
        """Read a file back and return its sha256."""
        digest = hashlib.sha256()
        pending: collections.deque[Future[bytes]] = collections.deque()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for start in range(0, size, BLOCK):
                    stop = min(size, start + BLOCK)
                    pending.append(pool.submit(self.read_range, name, start, stop))
                    if len(pending) >= _AT_ONCE:
                        digest.update(pending.popleft().result())
                while pending:
                    digest.update(pending.popleft().result())
            finally:
                for job in pending:
                    job.cancel()
        return digest.hexdigest()

    def holds(self, name: str, file: UploadFile, entry: Entry, *, read: bool) -> bool:
        """Tell whether a file is there as it was recorded.

        Args:
            name: Its name there.
            file: What it should be.
            entry: What was listed of it.
            read: Read it back even where the store keeps checksums.
        """
        del read  # fsspec itself knows no checksums
        return entry.size == file.size and self.digest(name, entry.size) == file.sha256

    def holds_digest(self, name: str, sha256: str, entry: Entry, *, read: bool) -> bool:
        """Tell the same where the file is not on this machine."""
        del read
        return self.digest(name, entry.size) == sha256

    # -- changes -------------------------------------------------------------------------------

    def put(self, name: str, file: UploadFile, tell: Callable[[int], None]) -> None:
        """Send a file.

        Args:
            name: Its name there.
            file: What is sent; another content than recorded is refused.
            tell: Told of bytes that were sent; may raise to stop.

        Raises:
            IntegrityError: It changed since it was recorded.
        """
        from fsspec.callbacks import Callback

        class Told(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                tell(inc)

        if hash_file(file.path) != (file.size, file.sha256):
            raise changed(file)
        with self.errors(f"sending {name}"), self._lent() as filesystem:
            whole = self._whole(name)
            filesystem.makedirs(whole.rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(file.path), whole, callback=Told())

    def put_bytes(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with self.errors(f"writing {name}"), self._lent() as filesystem:
            whole = self._whole(name)
            filesystem.makedirs(whole.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(whole, content)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""
        with self.errors("removing what only an earlier release had"), self._lent() as filesystem:
            for name in names:
                try:
                    filesystem.rm_file(self._whole(name))
                except FileNotFoundError:
                    continue

    # -- what only some stores have ------------------------------------------------------------

    def try_writing(self) -> None:
        """Raise where this login may not write, as far as that can be tried without a trace."""

    def give_up_uploads(self) -> None:
        """End uploads in parts that nobody will complete."""

    def is_public(self) -> bool | None:
        """Tell whether everybody may read, None where it is not known."""
        return None

    # -- inside --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Any]:
        """Give a file system that no other thread uses meanwhile.

        Those with one connection (SFTP, FTP) would take each other's answers. One that lost its
        connection is not used again.
        """
        if self._another is None or getattr(self.filesystem, "async_impl", False):
            yield self.filesystem
            return
        try:
            one = self._idle.pop()
        except IndexError:
            one = self._another()
        try:
            yield one
        except Exception as error:
            if is_passing(error):
                with contextlib.suppress(Exception):
                    one.close()  # not every one can be
            else:
                self._idle.append(one)
            raise
        self._idle.append(one)

    def _listed(self, name: str, info: Mapping[str, Any]) -> Entry:
        """Return an entry of a listing, which tells some implementations less than `info` does.

        See findings/fsspec_lists_other_details.sh.
        """
        identity = _identity(info)
        if not identity:
            return self.entry(name)
        return Entry(size=int(info.get("size") or 0), identity=identity)

    def errors(self, what: str) -> Any:
        """Return a context in which errors of the library become ours."""
        return translated(self.address, what, self.missing)

    def _whole(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path

    def _name(self, info: Mapping[str, Any]) -> str:
        return str(info["name"]).removeprefix(self.path).lstrip("/")


def changed(file: UploadFile) -> IntegrityError:
    """Return the error of a file that is not what was recorded any more."""
    return IntegrityError(
        f"{file.path.name} changed since it was recorded",
        owner=str(file.path),
        safe="it is not part of what is at the destination",
        next="run the same command again; the file will be made again",
    )


def _identity(info: Mapping[str, Any]) -> str:
    return next((str(info[key]) for key in _IDENTITIES if info.get(key)), "")
