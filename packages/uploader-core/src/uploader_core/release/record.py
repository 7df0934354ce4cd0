"""The record of a step, which is its commit point, and how records are named and keyed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_core.artifact import Artifact, Json
from uploader_core.errors import IntegrityError
from uploader_core.untrusted_json import as_json

INTERNAL = ".uploader"
"""The folder below a release that holds what is known of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of a finished step.

    Attributes:
        step: Step id.
        key: Digest over inputs, settings and versions; equal key, equal result.
        folder: Output folder relative to the release, "" for uploads.
        artifact: What it made (its path is set again when the record is read), None for uploads.
        receipt: For uploads.
        stats: File name to (mtime_ns, inode) when the file was hashed; only a short cut.
        about: plugin, distribution, version, settings, for the manifest.
        seconds: Wall time.
    """

    step: str
    key: str
    folder: str = ""
    artifact: Artifact | None = None
    receipt: Mapping[str, Json] | None = None
    stats: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    about: Mapping[str, Json] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def made(self) -> Artifact:
        """The artifact of a step that makes one.

        Raises:
            IntegrityError: The record is one of an upload.
        """
        if self.artifact is None:
            raise IntegrityError(
                f"the record of {self.step} names no artifact",
                owner=f"{INTERNAL}/steps/{safe_name(self.step)}.json",
                safe="nothing of it was used",
                next="remove that file and run the same command again; the step is repeated",
            )
        return self.artifact

    def to_json(self) -> dict[str, Json]:
        data = {"schema": "uploader.step/1", **as_json(self), "seconds": round(self.seconds, 3)}
        if self.artifact is not None:
            data["artifact"]["path"] = self.folder
        return data


def canonical_digest(data: Json) -> str:
    """Return the sha256 of JSON in one fixed spelling."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def safe_name(step_id: str) -> str:
    """Turn a step id into a short file name that every file system takes."""
    plain = re.sub(r"[^a-z0-9]+", "-", step_id.lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(step_id.encode()).hexdigest()[:8]}"
