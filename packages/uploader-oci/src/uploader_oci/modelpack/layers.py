"""The files of a release as layers: one for each, as it is, with its path.

The path is in two annotations: ModelPack's tools and Docker Model Runner read the one, ``oras
pull`` the other. oras for Python writes a file's last path segment as the title, so that two
README.md of two folders become one when they are pulled; ours is the whole path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import UploadFile

FILEPATH = "org.cncf.model.filepath"
TITLE = "org.opencontainers.image.title"

WEIGHT = "weight"
CONFIG = "weight.config"
DOCUMENT = "doc"
CODE = "code"
"""What ModelPack tells apart, https://github.com/modelpack/model-spec/blob/main/specs-go/v1/mediatype.go."""

_ROLES = {
    "weights": WEIGHT,
    "config": CONFIG,
    "tokenizer": CONFIG,
    "template": CONFIG,
    "licence": DOCUMENT,
    "document": DOCUMENT,
}
_LICENCE = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A file in a manifest.

    Attributes:
        name: POSIX path.
        digest: ``sha256:...``.
        size: Bytes.
        sort: What ModelPack calls it, such as :data:`WEIGHT`.
        projector: Whether it is the part of a GGUF model that sees or hears.
    """

    name: str
    digest: str
    size: int
    sort: str
    projector: bool = False

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """Return the layer as a manifest has it."""
        return {
            "mediaType": media_type,
            "digest": self.digest,
            "size": self.size,
            "annotations": {FILEPATH: self.name, TITLE: self.name},
        }

    @property
    def is_licence(self) -> bool:
        """Whether it is the text of a licence."""
        return bool(_LICENCE.fullmatch(self.name.rpartition("/")[2]))

    @property
    def suffix(self) -> str:
        """The end of its name, lower-case (``gguf``)."""
        return self.name.rpartition(".")[2].lower()


def layers_of(files: Sequence[UploadFile], projectors: Sequence[str] = ()) -> list[Layer]:
    """Return the layers of some files: weights, configuration, the rest, each by name.

    Docker Model Runner takes the weights in the order of the manifest for the parts of one model,
    and knows a projector by its name since 2026; so the projector comes after them.

    Args:
        files: Of the release.
        projectors: Names of those that are a projector.
    """
    layers = [
        Layer(
            name=file.name,
            digest=f"sha256:{file.sha256}",
            size=file.size,
            sort=_sort(file),
            projector=file.name in projectors,
        )
        for file in files
    ]
    order = (WEIGHT, CONFIG, CODE, DOCUMENT)
    return sorted(layers, key=lambda x: (order.index(x.sort), x.projector, x.name))


def _sort(file: UploadFile) -> str:
    if file.role in _ROLES:
        return _ROLES[file.role]
    suffix = file.name.rpartition(".")[2].lower()
    if _LICENCE.fullmatch(file.name.rpartition("/")[2]) or suffix in ("md", "txt", "html", "png"):
        return DOCUMENT
    return CODE if suffix == "py" else CONFIG


def names_in(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the layers of a manifest by the path that they name; others are left out."""
    layers = manifest.get("layers")
    found: dict[str, Mapping[str, Any]] = {}
    for layer in layers if isinstance(layers, list) else ():
        about = layer.get("annotations") if isinstance(layer, dict) else None
        if isinstance(about, dict):
            name = about.get(FILEPATH) or about.get(TITLE)
            if isinstance(name, str) and name:
                found[name] = layer
    return found
