"""What a manifest says of a model, from its own files: no clock, no machine, no local path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import Artifact, ReleaseInfo, UploadFile, card_metadata, parse_json
from uploader_oci.modelpack.gguf_header import read_general
from uploader_oci.modelpack.layers import WEIGHT, Layer

_PRECISIONS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_LARGEST = 8 << 20
_UNSAID = frozenset({"other", "unknown", ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of a model.

    Attributes:
        name: Of the release.
        kind: Kinds of artifact, joined (``gguf``).
        role: ``adapter`` or ``model``.
        format: ``gguf``, ``safetensors``, or "" where the weights are neither.
        architecture: As its files name it (``llama``).
        parameters: Number of them; 0 when unknown.
        precision: Of the weights (``bf16``).
        quantization: How they are quantised (``Q4_K_M``).
        licences: As the card names them.
        base: Public name of the base model; "" without one.
        base_revision: Its commit.
    """

    name: str
    kind: str
    role: str
    format: str
    architecture: str = ""
    parameters: int = 0
    precision: str = ""
    quantization: str = ""
    licences: tuple[str, ...] = ()
    base: str = ""
    base_revision: str = ""

    @property
    def size_label(self) -> str:
        """Parameters as ModelPack writes them (``7.6b``); "" when unknown."""
        for letter, scale in (("t", 10**12), ("b", 10**9), ("m", 10**6), ("k", 10**3)):
            if self.parameters >= scale:
                return f"{self.parameters / scale:.1f}".removesuffix(".0") + letter
        return ""

    @property
    def title(self) -> str:
        """One sentence for people."""
        what = "an adapter" if self.role == "adapter" else "a model"
        return f"{self.name}, {what}" + (f" made from {self.base}" if self.base else "")


def find_facts(
    release: ReleaseInfo,
    files: Sequence[UploadFile],
    layers: Sequence[Layer],
    artifacts: Iterable[Artifact],
    quantization: str = "",
) -> Facts:
    """Read what the files of a release say.

    Args:
        release: What the run is about.
        files: Those of one manifest.
        layers: The same as layers.
        artifacts: What they belong to.
        quantization: Of the GGUF file, where one of several was chosen.
    """
    weights = [layer for layer in layers if layer.sort == WEIGHT and not layer.projector]
    suffixes = {layer.suffix for layer in weights}
    here = {file.name: file for file in files}
    main = next((name for name in ("config.json",) if name in here), None) or next(
        (name for name in sorted(here) if name.endswith("/config.json")), None
    )
    config = _json(here[main]) if main else {}
    first = next((layer for layer in weights if layer.suffix == "gguf"), None)
    header = read_general(here[first.name].path) if first else {}
    adapts = any(name.rpartition("/")[2] == "adapter_config.json" for name in here)
    is_adapter = header.get("general.type") == "adapter" or (adapts and not config)
    quantized = config.get("quantization_config")
    kinds = dict.fromkeys(f.kind for f in files if f.kind != "document")
    parameters = [a.metadata.get("parameters") for a in artifacts if a.kind in kinds]
    known = [number for number in parameters if isinstance(number, int)]
    return Facts(
        name=release.name,
        kind="+".join(kinds),
        role="adapter" if is_adapter else "model",
        format=suffixes.pop() if len(suffixes) == 1 else "",
        architecture=header.get("general.architecture") or _text(config.get("model_type")),
        parameters=known[0] if len(known) == 1 else 0,
        precision=""
        if first
        else _PRECISIONS.get(_text(config.get("dtype") or config.get("torch_dtype")), ""),
        quantization=quantization
        or (_text(quantized.get("quant_method")) if isinstance(quantized, dict) else ""),
        licences=_licences(here.get("README.md")),
        base=(release.base_model or "") if release.base_is_hub_id else "",
        base_revision=(release.base_revision or "") if release.base_is_hub_id else "",
    )


def _licences(card: UploadFile | None) -> tuple[str, ...]:
    if card is None or card.size > _LARGEST:
        return ()
    licence = card_metadata(card.path.read_text("utf-8", errors="replace")).get("license")
    named = licence if isinstance(licence, list) else [licence]
    return tuple(str(one) for one in named if isinstance(one, str) and one not in _UNSAID)


def _json(file: UploadFile) -> Mapping[str, Any]:
    if file.size > _LARGEST:
        return {}
    try:
        data = parse_json(file.path.read_bytes())
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
