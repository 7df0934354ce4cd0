"""The write protocol: how a file gets its final name only when it is whole and on disk.

``name.partial`` in a private folder of the same file system, written and hashed in one pass,
flushed, fsynced, given the mode that the umask asks for, renamed, its folder fsynced. Every writer
of uploader goes through this module. The record of a step, written the same way, is the commit
point (see :mod:`uploader_core.release.store`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from uploader_core.artifact import Json
from uploader_core.errors import IntegrityError
from uploader_core.machine.background_file import BackgroundFile
from uploader_core.machine.file_calls import apply_umask, rename, sync_folder
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.machine.uncached import read_blocks

PARTIAL = ".partial"
_NO_NAME = re.compile(r"[\\:\x00-\x1f\x7f-\x9f\u2028\u2029]")
CHUNK = 4 << 20


def child(root: Path, name: str) -> Path:
    """Join a POSIX name to a folder, refusing everything that would leave it.

    Raises:
        IntegrityError: Absolute, with ``..``, a colon, a backslash, a line end or another control
            character, or empty.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or _NO_NAME.search(name):
        raise IntegrityError(
            f"{name!r} is no name of a file below {root.name or 'the folder'}: relative, without "
            "'..', colons, backslashes and control characters",
            next="give the file another name",
        )
    return root.joinpath(*parts)


class HashingWriter(BackgroundFile):
    """A binary file that is hashed and stored while it is written. Forward only."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of ``data`` and return its length in bytes."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size += len(view)
        return super().write(view)

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def hash_file(path: Path, tick: Callable[[int], None] = lambda _: None) -> tuple[int, str]:
    """Return (bytes, sha256 hex) of a file, reading it once.

    Args:
        path: The file.
        tick: Called with the bytes read so far; may raise to stop.
    """
    digest = hashlib.sha256()
    size = 0
    for block in read_blocks(path):
        digest.update(block)
        size += len(block)
        tick(size)
    return size, digest.hexdigest()


def write_bytes(path: Path, data: bytes, *, scratch: Path | None = None) -> str:
    """Write a small file by the protocol and return its sha256.

    Args:
        path: Final name.
        data: Content.
        scratch: Private folder on the same file system for the partial file; next to the target
            when None.
    """
    with create(path, scratch=scratch) as writer:
        writer.write(data)
    return writer.sha256


def write_json(path: Path, data: Json, *, scratch: Path | None = None) -> str:
    """Write JSON by the protocol, UTF-8, sorted, with a final newline."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return write_bytes(path, text.encode("utf-8"), scratch=scratch)


@contextlib.contextmanager
def create(
    path: Path,
    *,
    scratch: Path | None = None,
    before_commit: Callable[[HashingWriter], None] | None = None,
) -> Iterator[HashingWriter]:
    """Write a file under its final name, or not at all.

    Args:
        path: Final name.
        scratch: Private folder on the same file system; next to the target when None.
        before_commit: Called when the partial file is whole and on disk, before the rename.

    Raises:
        SpaceError: The disk, a quota or a size limit is exhausted.
        UploaderError: Any other refusal of the operating system, in words.
    """
    partial = (scratch or path.parent) / (path.name + PARTIAL)
    with becoming(partial, path):
        with contextlib.closing(HashingWriter(partial)) as writer:
            yield writer
            writer.finish()
        if before_commit is not None:
            before_commit(writer)
        commit(partial, path)


@contextlib.contextmanager
def becoming(partial: Path, path: Path) -> Iterator[None]:
    """Remove a partial file when it does not become the final one, and say in words why not.

    Args:
        partial: Written in the body, which ends with :func:`commit`; its folder is made.
        path: Final name.

    Raises:
        SpaceError: The disk, a quota or a size limit is exhausted.
        UploaderError: Any other refusal of the operating system, in words.
    """
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.filename not in (None, *map(str, (partial, path, partial.parent, path.parent))):
            raise  # the caller failed to read something else
        raise translate_os_error(error, path) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def commit(partial: Path, path: Path) -> None:
    """Give a whole, fsynced file its final name and make that durable."""
    apply_umask(partial)
    path.parent.mkdir(parents=True, exist_ok=True)
    rename(partial, path)
    sync_folder(path.parent)
