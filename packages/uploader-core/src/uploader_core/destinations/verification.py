"""What came of a check of a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_core.artifact import Json
from uploader_core.untrusted_json import expect, read_as


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One file that is not what the manifest says.

    Attributes:
        path: Its name below the folder, as in the manifest.
        what: The rest of the sentence: ``is missing``.
    """

    path: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Result of a check.

    Attributes:
        files: Number of files in the manifest.
        size: Their bytes.
        problems: Empty when all is well.
        where: What exactly was looked at, such as an address with its commit.
        documents: The manifest, and the documents about the whole place that it names without a
            digest, as they are there: for who knows what they say.
        others: Names of the files there that no release put there.
    """

    files: int
    size: int
    problems: tuple[Problem, ...]
    where: str = ""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "where": self.where,
            "files": self.files,
            "bytes": self.size,
            "problems": [{"path": p.path, "what": p.what} for p in self.problems],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Verification:
        """Read it back.

        Raises:
            ValueError: It was not written by :meth:`to_json`.
        """
        return read_as(cls, {**expect(data, dict), "size": data.get("bytes")})
