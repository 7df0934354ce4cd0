"""Both destinations and the document on uploader's conformance kit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_files import gguf, upload_file
from ollama_server import LoopbackOllama
from uploader_core.plugin import UploadFile
from uploader_kit import Destination, DocumentConformance, UploadConformance
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.client import Registry
from uploader_oci.registry.reference import parse_reference
from uploader_ollama.registry.content import TITLE


class Conformance(UploadConformance):
    """A model with a projector, which a later release may not have, and a card."""

    plugin = "ollama"

    def release(self, folder: Path) -> tuple[UploadFile, ...]:
        model = gguf(folder / "tiny-Q8_0.gguf", size=self.size)
        projector = gguf(folder / "mmproj-tiny.gguf", "F16", general__type="mmproj")
        card = folder / "README.md"
        card.write_text("# Größe 模型\n", "utf-8")
        return (
            upload_file(model),
            upload_file(projector),
            upload_file(card, role="document", kind="document"),
        )


class TestCreate(Conformance):
    spec = "create"

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with (
            tempfile.TemporaryDirectory() as folder,
            LoopbackOllama(folder=Path(folder)).running() as server,
        ):
            yield Destination(
                target="tiny",
                listing=lambda: listed(server),
                environment={"OLLAMA_HOST": server.url},
                url=server.url,
                url_variable="OLLAMA_HOST",
            )


class TestPush(Conformance):
    spec = "push"

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        if not is_available():
            pytest.skip(HOW_TO_GET)
        with loopback_registry(auth="basic") as server:
            yield Destination(
                target=f"{server.host}/me/tiny",
                listing=lambda: pushed(server),
                environment=server.environment,
                url=server.url,
                url_variable="OCI_ENDPOINT",
                damage=lambda name: damage(server, name),
                open_sessions=server.sessions,
            )


class TestModelfile(DocumentConformance):
    plugin = "ollama"
    spec = "modelfile"


class TestSection(DocumentConformance):
    plugin = "ollama"
    spec = "section"


def listed(server: LoopbackOllama) -> dict[str, str]:
    """What the model is made of, by the names that the kit gives; and a card among the blobs."""
    layers = json.loads(server.manifests["tiny:latest"])["layers"]
    digests = {layer["digest"].removeprefix("sha256:"): layer.get("from", "") for layer in layers}
    found = {name: digest for digest, name in digests.items() if name.endswith(".gguf")}
    for path in (server.folder / "blobs").iterdir():
        if path.read_bytes().startswith(b"# "):
            found["README.md"] = path.name.removeprefix("sha256-")
    return found


def titled(server: LoopbackRegistry) -> dict[str, str]:
    """Digests of the layers that are files of the release."""
    place = parse_reference(f"{server.host}/me/tiny")
    with Registry(place, secrets=server.environment) as registry:
        there = registry.find_manifest("latest") is not None
        layers = registry.get_manifest("latest").parse()["layers"] if there else ()
    titles = {(layer.get("annotations") or {}).get(TITLE): layer["digest"] for layer in layers}
    return {name: digest for name, digest in titles.items() if name}


def pushed(server: LoopbackRegistry) -> dict[str, str]:
    """What the tag names, as the registry stores it."""
    stored = {
        name: server.blob_file(digest).read_bytes() for name, digest in titled(server).items()
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in stored.items()}


def damage(server: LoopbackRegistry, name: str) -> None:
    """Cut the blob of a file."""
    server.blob_file(titled(server)[name]).write_bytes(b"cut")
