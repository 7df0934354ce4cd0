"""Manifests: what a tag stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import IntegrityError, RefusedError, parse_json

LARGEST_MANIFEST = 4 << 20
"""Bytes; what registries have to take, and docker-registry takes no more."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
# Without them docker-registry says 404 of a manifest that is there.
ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A manifest as a registry has it.

    Attributes:
        digest: Of its bytes.
        media_type: What the registry says that it is.
        content: The bytes; b"" where only its digest was asked for.
    """

    digest: str
    media_type: str
    content: bytes = b""

    def parse(self) -> Mapping[str, Any]:
        """Return what it says.

        Raises:
            IntegrityError: It is no JSON object.
        """
        try:
            data = parse_json(self.content)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise IntegrityError(
                f"the manifest {self.digest[:19]}... is no JSON object",
                owner="the registry",
                next="push it again",
            )
        return data


def check_manifest_size(size: int, place: str) -> None:
    """Refuse a manifest that registries would not take.

    Raises:
        RefusedError: It is too large.
    """
    if size > LARGEST_MANIFEST:
        raise RefusedError(
            f"the manifest of {place} has {size:,} bytes, and registries take {LARGEST_MANIFEST:,}",
            owner="the number of files of the release",
            safe="nothing was tagged",
            next="release fewer files into one tag",
        )
