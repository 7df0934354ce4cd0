"""What Ollama keeps of models and says of them: our reading of its source, v0.33.0-rc2.

It keeps blobs and manifests as Ollama does, reads GGUF files, looks for families, and writes files
anew as llama-quantize's COPY does. It runs no model. The Go templates of the families are not here:
a family's layer has only a line with its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_gguf.chat_template.ollama_families import family_of
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.format.quants import QUANTS
from uploader_ollama.model.facts import read_facts
from uploader_ollama.model.name import parse_name
from uploader_ollama.registry.content import human_number
from uploader_ollama.server.copied import copy_blocks

MODEL, ADAPTER, PROJECTOR, TEMPLATE, PARAMS, SYSTEM, LICENSE = (
    f"application/vnd.ollama.image.{part}"
    for part in ("model", "adapter", "projector", "template", "params", "system", "license")
)
_FILE_TYPES = {quant.ftype: quant.name for quant in QUANTS.values()}
_RENDERERS = {"gemma4": "gemma4", "laguna": "laguna", "nemotron_h": "nemotron-3-nano"}


class RefusedByServer(Exception):
    """Becomes ``{"error": ...}``, in the stream where that has begun."""


@dataclass(kw_only=True)
class OllamaModels:
    """Models as a server keeps them, and what it makes of requests about them.

    Attributes:
        folder: Its store.
        copies: Whether created models are written anew, as Ollama does it since 0.30.
        fails: Text of an error in the middle of the next creations; "" for none.
    """

    folder: Path
    copies: bool = False
    fails: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    # -- the store: manifest/layer.go, manifest/manifest.go --------------------------------------

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "-")

    def has(self, digest: str) -> bool:
        return self.blob(digest).is_file()

    def layer(self, content: bytes, media: str) -> dict[str, Any]:
        """``NewLayer``."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blob(digest).write_bytes(content)
        return {"mediaType": media, "digest": digest, "size": len(content)}

    def model(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.manifests[str(parse_name(name))])
        except KeyError:
            raise RefusedByServer(f"model '{name}' not found") from None
        return found

    def of_media(self, name: str, media: str) -> list[Path]:
        return [
            self.blob(layer["digest"])
            for layer in self.model(name)["layers"]
            if layer["mediaType"] == media
        ]

    def config(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            self.blob(self.model(name)["config"]["digest"]).read_bytes()
        )
        return content

    # -- POST /api/create: server/create.go ------------------------------------------------------

    def create(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """``CreateHandler`` and ``createModel``."""
        name = str(parse_name(request["model"]))
        config: dict[str, Any] = {}
        parameters = dict(request.get("parameters") or {})
        if request.get("from"):
            layers = [dict(layer) for layer in self.model(request["from"])["layers"]]
            config = self.config(request["from"])
        elif request.get("files"):
            layers = []
            for file, digest in sorted(request["files"].items()):
                yield {"status": "parsing GGUF"}
                layers += self._weights(file, digest)
        else:
            raise RefusedByServer("neither 'from' or 'files' was specified")
        if len(request.get("adapters") or {}) > 1:
            raise RefusedByServer("only one adapter is currently supported")
        for file, digest in (request.get("adapters") or {}).items():
            layers += self._weights(file, digest)
        if self.fails:
            raise RefusedByServer(self.fails)
        yield from self._copied(layers, bool(request.get("files")))
        families = [] if request.get("from") else self._families(layers)
        for media, content in families:
            layers.append(self.layer(content, media))
        config = self._described(layers, config, parameters)
        for key, media in (("template", TEMPLATE), ("system", SYSTEM)):
            if request.get(key):
                layers = [layer for layer in layers if layer["mediaType"] != media]
                layers.append(self.layer(request[key].encode(), media))
        licences = request.get("license") or []
        for text in [licences] if isinstance(licences, str) else licences:
            layers.append(self.layer(text.encode(), LICENSE))
        for layer in [layer for layer in layers if layer["mediaType"] == PARAMS]:
            parameters = {**json.loads(self.blob(layer["digest"]).read_bytes()), **parameters}
            layers.remove(layer)
        if parameters:
            layers.append(self.layer(json.dumps(parameters).encode() + b"\n", PARAMS))
        if request.get("requires"):
            config["requires"] = request["requires"]
        for media, content in families:
            if media == TEMPLATE:
                yield {"status": f"using autodetected template {content.decode().split()[-1]}"}
        yield {"status": "writing manifest"}
        described = self.layer(
            json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": described,
            "layers": layers,
        }
        self.manifests[name] = json.dumps(manifest).encode()
        yield {"status": "success"}

    def _weights(self, file: str, digest: str) -> list[dict[str, Any]]:
        """``ggufLayersWithMediaType``."""
        path = self.blob(digest)
        if not path.is_file():
            raise RefusedByServer(f"open {path.name}: no such file or directory")
        if path.read_bytes()[:4] != b"GGUF":
            raise RefusedByServer("supplied file was not in GGUF format")
        role = read_facts(path).role
        media = {"model": MODEL, "adapter": ADAPTER, "projector": PROJECTOR}[role]
        return [{"mediaType": media, "digest": digest, "size": path.stat().st_size, "from": file}]

    def _copied(self, layers: list[dict[str, Any]], from_files: bool) -> Iterator[dict[str, Any]]:
        """``copyLayerWithLlamaQuantize``, for models of files."""
        for layer in layers if self.copies and from_files else ():
            if layer["mediaType"] == MODEL:
                size = layer["size"]
                yield {"status": "validating GGUF model", "total": size, "completed": size}
                made = self.layer(copied(self.blob(layer["digest"])), MODEL)
                self.sources[made["digest"]] = layer["digest"]
                layer |= {"digest": made["digest"], "size": made["size"]}

    def _families(self, layers: list[dict[str, Any]]) -> list[tuple[str, bytes]]:
        """``detectChatTemplate``."""
        found = []
        for layer in layers:
            template = read_facts(self.blob(layer["digest"])).template
            family = family_of(template) if template else None
            if family is not None:
                found.append((TEMPLATE, f"{{{{ .Prompt }}}} {family}".encode()))
        return found

    def _described(
        self, layers: list[dict[str, Any]], config: dict[str, Any], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """What ``createModel`` takes from the file of the model."""
        for layer in layers:
            if layer["mediaType"] != MODEL:
                continue
            keys = read_header(self.blob(layer["digest"])).keys
            facts = read_facts(self.blob(layer["digest"]))
            config = {
                "model_format": "gguf",
                "model_family": facts.architecture,
                "model_families": [facts.architecture],
                "model_type": human_number(facts.parameters),
                "file_type": _FILE_TYPES.get(keys.get("general.file_type", 0), "unknown"),
                "architecture": "amd64",
                "os": "linux",
                **config,
            }
            renderer = _RENDERERS.get(facts.architecture)
            if renderer is not None:
                config |= {"renderer": renderer, "parser": renderer}
                if renderer == "gemma4":
                    parameters.setdefault("stop", ["<turn|>"])
        return config

    # -- POST /api/show: server/routes.go --------------------------------------------------------

    def show(self, request: dict[str, Any]) -> dict[str, Any]:
        """``GetModelInfo``."""
        name = request.get("model") or request.get("name") or ""
        config = self.config(name)
        path = self.of_media(name, MODEL)[0]
        header = read_header(path)
        keys = dict(header.keys)
        jinja = str(keys.pop("tokenizer.chat_template", ""))
        keys.pop("general.name", None)
        if not request.get("verbose"):
            keys = {k: [] if isinstance(v, list) and len(v) > 5 else v for k, v in keys.items()}
        go = "".join(p.read_text("utf-8") for p in self.of_media(name, TEMPLATE))
        rendered = bool(go) or "renderer" in config
        parameters = [json.loads(p.read_bytes()) for p in self.of_media(name, PARAMS)]
        lines = [
            f"{key:<30} {json.dumps(one, ensure_ascii=False)}"
            for key, value in (parameters[0] if parameters else {}).items()
            for one in (value if isinstance(value, list) else [value])
        ]
        shown: dict[str, Any] = {
            "license": "\n".join(p.read_text("utf-8") for p in self.of_media(name, LICENSE)),
            "system": "".join(p.read_text("utf-8") for p in self.of_media(name, SYSTEM)),
            "template": (go or "{{ .Prompt }}") if rendered or not jinja else jinja,
            "parameters": "\n".join(lines),
            "details": {
                "format": "gguf",
                "family": config["model_family"],
                "families": config["model_families"],
                "parameter_size": config["model_type"],
                "quantization_level": config["file_type"],
            },
            "modelfile": self._modelfile(name),
            "model_info": keys,
            "capabilities": ["completion", *(["tools"] if "tools" in (jinja or go) else [])],
            "modified_at": "2026-08-21T18:48:22Z",
        }
        if "requires" in config:
            shown["requires"] = config["requires"]
        if request.get("verbose"):
            shown["tensors"] = [
                {"name": t.name, "type": t.kind.name, "shape": [*reversed(t.shape)]}
                for t in header.tensors
            ]
        if self.of_media(name, PROJECTOR):
            shown["projector_info"] = read_header(self.of_media(name, PROJECTOR)[0]).keys
        return shown

    def _modelfile(self, name: str) -> str:
        """``Model.String``: paths of blobs, their digest in them."""
        lines = ['# Modelfile generated by "ollama show"']
        lines += [f"FROM {path}" for path in self.of_media(name, MODEL)]
        lines += [f"ADAPTER {path}" for path in self.of_media(name, ADAPTER)]
        lines += [f"FROM {path}" for path in self.of_media(name, PROJECTOR)]
        return "\n".join(lines) + "\n"

    def tags(self) -> dict[str, Any]:
        """``ListHandler``."""
        return {
            "models": [
                {
                    "name": name,
                    "model": name,
                    "digest": hashlib.sha256(manifest).hexdigest(),
                    "size": sum(layer["size"] for layer in json.loads(manifest)["layers"]),
                    "modified_at": "2026-08-21T18:48:22Z",
                }
                for name, manifest in self.manifests.items()
            ]
        }


def copied(path: Path) -> bytes:
    """What llama-quantize's COPY makes of a file; test_copied.py compares it with llama.cpp's."""
    return b"".join(copy_blocks(path))
