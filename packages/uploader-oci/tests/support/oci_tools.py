"""What is at a tag, asked for without any code of ours."""

from __future__ import annotations

import json
import struct
import urllib.error
import urllib.request
from hashlib import sha256
from typing import Any

from uploader_core.plugin import ReleaseInfo
from uploader_oci.loopback import LoopbackRegistry

RELEASE = ReleaseInfo(
    name="tiny",
    source="adapter",
    base_model="acme/base",
    base_is_hub_id=True,
    base_revision="c0ffee",
)

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def get(server: LoopbackRegistry, path: str) -> bytes:
    """Read something of a registry, with its right login."""
    request = urllib.request.Request(f"{server.url}/v2/{path}", headers=_headers(server))
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def manifest_of(server: LoopbackRegistry, repository: str, tag: str) -> dict[str, Any]:
    """Return what a tag stands for."""
    manifest: dict[str, Any] = json.loads(get(server, f"{repository}/manifests/{tag}"))
    return manifest


def config_of(server: LoopbackRegistry, repository: str, tag: str) -> dict[str, Any]:
    """Return the config that the manifest of a tag names."""
    digest = manifest_of(server, repository, tag)["config"]["digest"]
    config: dict[str, Any] = json.loads(get(server, f"{repository}/blobs/{digest}"))
    return config


def tags_of(server: LoopbackRegistry, repository: str) -> list[str]:
    """Return the tags of a repository."""
    return sorted(json.loads(get(server, f"{repository}/tags/list"))["tags"] or ())


def files_of(server: LoopbackRegistry, repository: str, tag: str) -> dict[str, str]:
    """Return the sha256 of the files at a tag by name, computed from what the registry serves."""
    try:
        manifest = manifest_of(server, repository, tag)
    except urllib.error.HTTPError:
        return {}
    return {
        layer["annotations"]["org.opencontainers.image.title"]: sha256(
            get(server, f"{repository}/blobs/{layer['digest']}")
        ).hexdigest()
        for layer in manifest["layers"]
    }


def put_another(server: LoopbackRegistry, repository: str, tag: str, name: str) -> None:
    """Let a name at a tag stand for other bytes, as somebody else's push does."""
    manifest = manifest_of(server, repository, tag)
    config = manifest["config"]
    for layer in manifest["layers"]:
        if layer["annotations"]["org.opencontainers.image.title"] == name:
            layer.update(digest=config["digest"], size=config["size"])
    put_manifest(server, repository, tag, manifest)


def put_manifest(
    server: LoopbackRegistry, repository: str, tag: str, manifest: dict[str, Any]
) -> None:
    """Give a tag a manifest."""
    headers = {**_headers(server), "Content-Type": manifest.get("mediaType", OCI)}
    url = f"{server.url}/v2/{repository}/manifests/{tag}"
    body = json.dumps(manifest).encode()
    urllib.request.urlopen(
        urllib.request.Request(url, data=body, headers=headers, method="PUT")
    ).close()


def _headers(server: LoopbackRegistry) -> dict[str, str]:
    login = server.basic_login
    return {"Accept": f"{OCI}, {DOCKER}"} | ({"Authorization": login} if login else {})


def gguf(architecture: str = "llama", kind: str = "model", rest: bytes = b"") -> bytes:
    """Return what begins like a GGUF file."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = {"general.architecture": architecture, "general.type": kind, "llama.x": "no"}
    body = b"".join(text(k) + struct.pack("<I", 8) + text(v) for k, v in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body + rest
