"""The signature of a release as a referrer: a manifest of its own that names the one it is about.

Who has only the digest of a model finds its signature by it, without pulling the model: by the
registry's list of referrers, or where it has none (docker-registry 2.8) by the tag
``sha256-DIGEST``, an index, as the distribution specification says.
"""

from __future__ import annotations

import json
from typing import Any

from uploader_oci.publishing.tags import Tagged
from uploader_oci.registry.blob import Blob, digest_of
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import OCI_INDEX, OCI_MANIFEST

SIGNATURE = "model.sig"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_EMPTY = Blob.of_bytes(b"{}", "an empty config")
_ABOUT = {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": "https://model_signing/signature/v1.0",
}


def refer(registry: Registry, tagged: Tagged) -> str | None:
    """Make the signature in a tag a referrer of what the tag stands for.

    Args:
        registry: Has the tag and its blobs.
        tagged: What was tagged.

    Returns:
        Digest of the referrer; None where nothing is signed.
    """
    signature = next((file for file in tagged.files if file.name == SIGNATURE), None)
    if signature is None:
        return None
    subject = _descriptor(tagged.packed.media_type, tagged.packed.content)
    layer = {
        "mediaType": BUNDLE,
        "digest": f"sha256:{signature.sha256}",
        "size": signature.size,
        "annotations": {"org.opencontainers.image.title": SIGNATURE},
    }
    empty = "application/vnd.oci.empty.v1+json"
    content = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": BUNDLE,
            "config": {"mediaType": empty, "digest": _EMPTY.digest, "size": _EMPTY.size},
            "layers": [layer],
            "subject": subject,
            "annotations": _ABOUT,
        }
    )
    digest = digest_of(content)
    if not registry.stands_for(digest, content):
        registry.push_blob(_EMPTY)
        registry.put_manifest(digest, content, OCI_MANIFEST)
    if not registry.lists_referrers(subject["digest"]):
        about = {"artifactType": BUNDLE, "annotations": _ABOUT}
        _list(registry, subject["digest"], {**_descriptor(OCI_MANIFEST, content), **about})
    return digest


def _list(registry: Registry, subject: str, referrer: dict[str, Any]) -> None:
    """Add a referrer to the index that stands in for the registry's own list."""
    tag = subject.replace(":", "-")
    listed: list[Any] = []
    if registry.find_manifest(tag) is not None:
        there = registry.get_manifest(tag).parse().get("manifests")
        listed = there if isinstance(there, list) else []
    if referrer not in listed:
        # Those of others stay.
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [*listed, referrer],
        }
        registry.put_manifest(tag, _json(index), OCI_INDEX)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
