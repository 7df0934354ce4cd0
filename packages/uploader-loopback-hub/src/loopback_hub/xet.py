"""Xet for the loopback Hub: the client's own store on disk, and files taken out of it again.

The Xet client takes ``local:///folder`` in place of a server's address; chunking, deduplication and
storing are then its own, and real. The Hub learns of a file from the shards that it leaves: they
name its digest, its Xet hash and its parts.

A shard (format of hf_xet 1.x): a header of 48 bytes, then per file a block of 48 bytes (hash 32,
flags 4, number of parts 4, unused 8), a block per part (hash 32, flags 4, bytes 4, chunks 8), with
bit 31 of the flags as many blocks of verification, with bit 30 one with the sha256. A hash of ones
ends it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 48
_END = b"\xff" * 32
_VERIFIED, _WITH_SHA256 = 1 << 31, 1 << 30
_INSIDE = Path("xet", "xorbs")
"""Where the client keeps things below the folder of its address."""

LIFETIME = 86_400
"""Seconds that a token is good for; a client that never asks again keeps its folder."""


@dataclass(frozen=True, slots=True)
class XetFile:
    """A file that a client stored.

    Attributes:
        hash: Its Xet hash, hex.
        size: Bytes.
        sha256: Hex digest as the client says; None when it did not.
        folder: The client's folder.
    """

    hash: str
    size: int
    sha256: str | None
    folder: Path


class XetStore:
    """Everything that clients stored through Xet.

    Args:
        folder: Each client gets one of its own below it: they lock them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def address(self) -> str:
        """Return the address of a new folder for a client."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return f"local://{tempfile.mkdtemp(dir=self._folder, prefix='client-')}"

    def find(self, sha256: str) -> XetFile | None:
        """Return a file by its digest."""
        return next((file for file in self._files() if file.sha256 == sha256), None)

    def take_out(self, file: XetFile, path: Path) -> None:
        """Put a file together again; its content is what the client's parts make.

        Raises:
            RuntimeError: The parts are not there, or are damaged.
        """
        import hf_xet  # type: ignore[import-untyped, unused-ignore]

        with tempfile.TemporaryDirectory(dir=self._folder) as copy:
            # The client may still hold the lock on its own.
            source, target = file.folder / _INSIDE, Path(copy) / _INSIDE
            shutil.copytree(source, target, copy_function=_link)
            session = hf_xet.XetSession()
            with session.new_file_download_group(
                endpoint=f"local://{copy}",
                token="local",
                token_expiry_unix_secs=int(time.time()) + LIFETIME,
            ) as group:
                group.start_download_file(hf_xet.XetFileInfo(file.hash, file.size), str(path))

    def _files(self) -> Iterator[XetFile]:
        for shard in sorted(self._folder.glob(f"*/{_INSIDE.as_posix()}/shards/*.mdb")):
            yield from read_shard(shard.read_bytes(), shard.parents[3])


def read_shard(content: bytes, folder: Path) -> Iterator[XetFile]:
    """Yield the files of a shard."""
    position = _BLOCK
    while (head := content[position : position + _BLOCK])[:32] not in (_END, b""):
        flags, count = _number(head[32:36]), _number(head[36:40])
        position += _BLOCK
        parts = range(position, position + _BLOCK * count, _BLOCK)
        size = sum(_number(content[start + 36 : start + 40]) for start in parts)
        position += _BLOCK * count * (2 if flags & _VERIFIED else 1)
        sha256: str | None = None
        if flags & _WITH_SHA256:
            sha256 = _text(content[position : position + 32])
            position += _BLOCK
        yield XetFile(hash=_text(head[:32]), size=size, sha256=sha256, folder=folder)


def _link(source: str, target: str) -> None:
    """Copy the database, which is written to, and link what never changes."""
    (shutil.copyfile if source.endswith(".redb") else os.link)(source, target)


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _text(content: bytes) -> str:
    """Return a hash as text: four numbers of 8 bytes, each little-endian."""
    return "".join(content[start : start + 8][::-1].hex() for start in range(0, 32, 8))
