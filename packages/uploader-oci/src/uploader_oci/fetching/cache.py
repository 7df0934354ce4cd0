"""Where models from registries are kept on this machine: a folder for each manifest.

A file gets its name when all of it was compared with its digest, so what is there is right.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from uploader_core.plugin import RefusedError, from_home, parse_json
from uploader_oci.registry.reference import Reference

VARIABLE = "OCI_CACHE"
"""Variable with another folder."""


class Cache:
    """The cache of this user."""

    def __init__(self) -> None:
        chosen = os.environ.get(VARIABLE)
        self.root = from_home(chosen) if chosen else platformdirs.user_cache_path(
            "uploader-oci", appauthor=False
        )  # fmt: skip

    def folder(self, place: Reference, digest: str) -> Path:
        """Return the folder of a manifest; its last part is what a release is called after."""
        name = place.repository.rpartition("/")[2]
        return self.root / digest.removeprefix("sha256:")[:32] / name

    def remember(self, place: Reference, digest: str, content: bytes) -> None:
        """Write down what a tag stood for, for when nobody answers."""
        path = self._note(place)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(digest.encode() + b"\n" + content)
            new.replace(path)
        except OSError as error:
            raise RefusedError(
                f"models from registries cannot be kept in {self.root}: {error.strerror}",
                owner=VARIABLE if os.environ.get(VARIABLE) else "the user's cache folder",
                safe="nothing of the model was fetched",
                next=f"{VARIABLE}=FOLDER names a folder that can be written",
            ) from None

    def recall(self, place: Reference) -> tuple[str, Mapping[str, Any]] | None:
        """Return digest and manifest that a tag stood for, None when it was never fetched."""
        try:
            digest, _, content = self._note(place).read_bytes().partition(b"\n")
            manifest = parse_json(content)
        except (OSError, ValueError):
            return None
        return (digest.decode("ascii", "replace"), manifest) if isinstance(manifest, dict) else None

    def _note(self, place: Reference) -> Path:
        return self.root / "tags" / hashlib.sha256(str(place).encode()).hexdigest()[:32]
