"""One release in the form of each consumer: other manifests over the same layers.

``modelpack``: https://github.com/modelpack/model-spec, v0.0.7; also read by Docker Model Runner
and KitOps, and by everything that pulls by the title of a layer. ``docker``: Docker Model Runner
before it read ModelPack. ``ollama``: what ``ollama pull`` takes. ``weights``: ModelPack again, with
the one file of the weights, for RamaLama on podman, which runs the first name of a manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_oci.modelpack.facts import Facts
from uploader_oci.modelpack.layers import WEIGHT, Layer
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST

FORMS = ("modelpack", "docker", "ollama")
"""Of a request for all; those besides them are asked for by name."""

PARTIAL = ("ollama", "weights")
"""Forms that leave files of a release out."""

KIND = "io.uploader.kind"
"""Annotation by which a manifest is known as one of ours; its value is the kind of artifact."""

_CNCF = "application/vnd.cncf.model"
_DOCKER = "application/vnd.docker.ai"
_OLLAMA = "application/vnd.ollama.image"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A manifest that can be pushed, with its config.

    Attributes:
        content: The manifest.
        media_type: Of the manifest.
        config: Config that it names.
        layers: Layers that it names.
    """

    content: bytes
    media_type: str
    config: Blob
    layers: tuple[Layer, ...]


def pack(form: str, facts: Facts, layers: Sequence[Layer]) -> Packed | None:
    """Return a release in some form, None where the form has no room for it.

    Args:
        form: One of :data:`FORMS`, or ``weights``.
        facts: What is known of the model.
        layers: Its files.
    """
    return _PACKERS[form](facts, layers)


def _modelpack(facts: Facts, layers: Sequence[Layer]) -> Packed:
    config = {
        "descriptor": _said(
            name=facts.name,
            family=facts.architecture,
            title=facts.title,
            licenses=list(facts.licences),
        ),
        "config": _said(
            architecture=facts.architecture,
            format=facts.format,
            paramSize=facts.size_label,
            precision=facts.precision,
            quantization=facts.quantization,
        ),
        "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
    }
    described = [layer.descriptor(f"{_CNCF}.{layer.sort}.v1.raw") for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": f"{_CNCF}.manifest.v1+json",
    }
    kind = f"{_CNCF}.config.v1+json"
    return _packed(manifest, kind, config, described, layers, facts)


def _weights(facts: Facts, layers: Sequence[Layer]) -> Packed | None:
    weights = [layer for layer in layers if layer.sort == WEIGHT and not layer.projector]
    return _modelpack(facts, weights) if len(weights) == 1 else None


def _docker(facts: Facts, layers: Sequence[Layer]) -> Packed | None:
    if facts.role == "adapter" or facts.format not in ("gguf", "safetensors"):
        return None  # the runner has no adapters
    config = {
        "config": _said(
            format=facts.format,
            quantization=facts.quantization,
            parameters=facts.size_label.upper(),
            architecture=facts.architecture,
        ),
        # Always the same: older runners ask it for its seconds, and end where there is none.
        "descriptor": {"created": "1970-01-01T00:00:00Z"},
        "rootfs": {"type": "rootfs", "diff_ids": [layer.digest for layer in layers]},
    }
    described = [layer.descriptor(f"{_DOCKER}.{_docker_type(layer)}") for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    # 0.1 is what every version knows; only 0.2 gives safetensors their configuration by path.
    version = "v0.1" if facts.format == "gguf" else "v0.2"
    kind = f"{_DOCKER}.model.config.{version}+json"
    return _packed(manifest, kind, config, described, layers, facts)


def _docker_type(layer: Layer) -> str:
    if layer.projector:
        return "mmproj"
    if layer.sort == WEIGHT:
        return {"gguf": "gguf.v3", "safetensors": "safetensors"}.get(layer.suffix, "model.file")
    if layer.is_licence:
        return "license"
    return "chat.template.jinja" if layer.suffix == "jinja" else "model.file"


def _ollama(facts: Facts, layers: Sequence[Layer]) -> Packed | None:
    weights = [layer for layer in layers if layer.sort == WEIGHT and not layer.projector]
    if facts.role == "adapter" or facts.format != "gguf" or len(weights) != 1:
        return None  # an adapter wants its base beside it; a model in parts cannot be pulled
    config: dict[str, Any] = {
        "model_format": "gguf",
        "model_family": facts.architecture,
        "model_families": [facts.architecture],
        "model_type": facts.size_label.upper(),
        "file_type": facts.quantization,
        "architecture": "amd64",
        "os": "linux",
    }
    chosen = [*weights, *(x for x in layers if x.projector), *(x for x in layers if x.is_licence)]
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in chosen]}
    described = []
    for layer in chosen:
        name = "projector" if layer.projector else "license" if layer.is_licence else "model"
        described.append(layer.descriptor(f"{_OLLAMA}.{name}"))
    manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST}
    kind = "application/vnd.docker.container.image.v1+json"
    return _packed(manifest, kind, config, described, chosen, facts)


_PACKERS: Mapping[str, Callable[[Facts, Sequence[Layer]], Packed | None]] = {
    "modelpack": _modelpack,
    "docker": _docker,
    "ollama": _ollama,
    "weights": _weights,
}


def _packed(
    manifest: dict[str, Any],
    config_type: str,
    config: Mapping[str, Any],
    described: list[dict[str, Any]],
    layers: Sequence[Layer],
    facts: Facts,
) -> Packed:
    blob = Blob.of_bytes(_bytes(config), "the model's config")
    annotations = _said(
        **{
            KIND: facts.kind or "document",
            "io.uploader.role": facts.role,
            "io.uploader.base": facts.base,
            "io.uploader.base.revision": facts.base_revision,
            "org.opencontainers.image.title": facts.name,
            "org.opencontainers.image.description": facts.title,
            "org.opencontainers.image.licenses": " AND ".join(facts.licences),
        }
    )
    content = _bytes(
        {
            **manifest,
            "config": {"mediaType": config_type, "digest": blob.digest, "size": blob.size},
            "layers": described,
            "annotations": annotations,
        }
    )
    return Packed(
        content=content, media_type=str(manifest["mediaType"]), config=blob, layers=tuple(layers)
    )


def _said(**facts: Any) -> dict[str, Any]:
    """Return what is known."""
    return {key: value for key, value in facts.items() if value}


def _bytes(data: Mapping[str, Any]) -> bytes:
    """Return JSON that is the same for the same facts."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
