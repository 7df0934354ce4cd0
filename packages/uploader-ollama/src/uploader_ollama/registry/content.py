"""Layers and configuration of a model in Ollama's form; the same release gives the same bytes.

What ``ollama push`` makes of a model (``server/create.go``, ``types/model/config.go``): a layer for
each part, told apart by media types, and a small configuration. Ollama takes layers of media types
that it does not know along and looks at none of them; that is how card and manifest of a release
travel, each with its name in OCI's annotation for titles. No clock is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import UploadFile
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.manifests import DOCKER_MANIFEST
from uploader_ollama.model.facts import Facts
from uploader_ollama.model.pieces import Piece, Pieces

TITLE = "org.opencontainers.image.title"

_PREFIX = "application/vnd.ollama.image."
_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCUMENTS = {".json": "application/json", ".md": "text/markdown"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A part of a model.

    Attributes:
        blob: Its content.
        media_type: What Ollama tells it by.
        title: Name of the file of the release that it is; "" for what we wrote for Ollama.
    """

    blob: Blob
    media_type: str
    title: str = ""

    def describe(self) -> dict[str, Any]:
        """Return how a manifest names it."""
        said = {
            "mediaType": self.media_type,
            "digest": self.blob.digest,
            "size": self.blob.size,
        }
        return {**said, **({"annotations": {TITLE: self.title}} if self.title else {})}


def layers_of(piece: Piece, pieces: Pieces) -> list[Layer]:
    """Return the layers of one kind, weights first and documents last."""
    found = [_of_file(piece.file, _PREFIX + "model")]
    if pieces.projector is not None:
        found.append(_of_file(pieces.projector.file, _PREFIX + "projector"))
    for part, text in _texts(pieces):
        found.append(Layer(blob=Blob.of_bytes(text.encode(), part), media_type=_PREFIX + part))
    for file in sorted(pieces.others, key=lambda file: (file.role == "document", file.name)):
        suffix = file.name[file.name.rfind(".") :]
        media = _DOCUMENTS.get(suffix, "application/octet-stream")
        found.append(_of_file(file, media))
    return found


def config_of(facts: Facts, pieces: Pieces) -> Layer:
    """Return the configuration of one kind, with the fields in the order of Ollama's own."""
    said = {
        "model_format": "gguf",
        "model_family": facts.architecture,
        "model_families": [facts.architecture],
        "model_type": human_number(facts.parameters),
        "file_type": facts.file_type,
        **({"requires": pieces.recipe.requires} if pieces.recipe.requires else {}),
        "architecture": "amd64",
        "os": "linux",
    }
    return Layer(blob=Blob.of_bytes(_json(said), "config"), media_type=_CONFIG)


def manifest_of(config: Layer, layers: list[Layer]) -> bytes:
    """Return the manifest."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": config.describe(),
            "layers": [layer.describe() for layer in layers],
        }
    )


def human_number(count: int) -> str:
    """Return a number of weights as Ollama writes it (``format/format.go``, ``HumanNumber``)."""
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def _texts(pieces: Pieces) -> Iterator[tuple[str, str]]:
    recipe = pieces.recipe
    if recipe.template:
        yield "template", recipe.template
    if recipe.system:
        yield "system", recipe.system
    for licence in recipe.licences:
        yield "license", licence
    if recipe.parameters:
        yield "params", _json(dict(sorted(recipe.parameters.items()))).decode() + "\n"


def _of_file(file: UploadFile, media_type: str) -> Layer:
    return Layer(blob=Blob.of_file(file), media_type=media_type, title=file.name)


def _json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
