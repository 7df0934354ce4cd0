"""What is sent to a registry: a file, or a few bytes, with the digest that it must have."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from uploader_core.plugin import UploadFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Content with its digest.

    Attributes:
        digest: ``sha256:...``.
        size: Bytes.
        label: What messages call it.
        path: Where it is on this machine; None where ``content`` has it.
        content: The bytes, of what is small.
    """

    digest: str
    size: int
    label: str
    path: Path | None = None
    content: bytes = b""

    @classmethod
    def of_bytes(cls, content: bytes, label: str) -> Blob:
        """Return the blob of some bytes."""
        return cls(digest=digest_of(content), size=len(content), label=label, content=content)

    @classmethod
    def of_file(cls, file: UploadFile) -> Blob:
        """Return the blob of a file of a release, with the digest that the release recorded."""
        digest = f"sha256:{file.sha256}"
        return cls(digest=digest, size=file.size, label=file.name, path=file.path)

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return io.BytesIO(self.content) if self.path is None else self.path.open("rb")


def digest_of(content: bytes) -> str:
    """Return the digest of some bytes as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
