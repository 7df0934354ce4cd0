"""Artifacts: what steps produce and consume, and the JSON that crosses process boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from uploader_core.untrusted_json import JsonData

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    Json = Any  # what reads these types at run time cannot follow one that names itself

ROLES = ("weights", "config", "tokenizer", "template", "licence", "document", "other")
"""Roles that a file can have in the manifest; a plugin may use others of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFile(JsonData):
    """One file of an artifact.

    Attributes:
        name: POSIX path below the artifact's folder.
        size: Bytes.
        sha256: Hex digest of the content, or "" for a source file that nobody hashed yet.
        role: What the file is for, see :data:`ROLES`.
    """

    name: str
    size: int
    sha256: str
    role: str = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact(JsonData):
    """A kind, a folder of files, metadata, and who made it.

    Attributes:
        kind: Public type name, such as ``gguf`` or ``vendor.kind``.
        path: Folder that the file names are relative to.
        files: Every file that belongs to it. Empty for a virtual artifact.
        metadata: Free JSON from the producer. A virtual artifact says here how to open it.
        producer: Step id, such as ``gguf:gguf``; ``source`` for what the user pointed at.
        version: Distribution and version of the producer.
    """

    kind: str
    path: Path
    files: tuple[ArtifactFile, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    producer: str = "source"
    version: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> Path:
        """Return the path of one of the files.

        Raises:
            KeyError: No file of that name belongs to the artifact.
        """
        if not any(file.name == name for file in self.files):
            raise KeyError(name)
        return self.path / name


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadFile(JsonData):
    """One file that a destination shall receive: the explicit list, never "the folder".

    Attributes:
        name: POSIX path at the destination, below the group's root (``model.safetensors``).
        path: Where it is here.
        size: Bytes.
        sha256: Hex digest; the destination is compared with it afterwards.
        role: As in :class:`ArtifactFile`. Files of role ``document`` go last.
        kind: Artifact kind that the file belongs to, or ``document``.
    """

    name: str
    path: Path
    size: int
    sha256: str
    role: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt(JsonData):
    """What an upload step returns: proof that it arrived.

    Attributes:
        destination: As the user wrote it, ``hf:me/my-model``.
        url: Where a person can look at it.
        revision: Commit or version at the destination, if it has such a thing.
        private: Visibility read back from the destination; None where it has no such notion.
        files: Number of files that were listed again and whose digests matched.
        bytes_sent: Bytes that really went over the wire (less than the size on a re-run).
        metadata: Free JSON.
    """

    destination: str
    url: str
    revision: str | None = None
    private: bool | None = None
    files: int = 0
    bytes_sent: int = 0
    metadata: Mapping[str, Json] = field(default_factory=dict)
