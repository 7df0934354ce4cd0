"""Steps that write bills of materials, as core makes them, and the published validators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    CardFacts,
    OutputFolder,
    ReleaseInfo,
    StepContext,
)
from uploader_provenance.settings import BomSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FIDELITY: Mapping[str, Any] = {
    "schema": "uploader.fidelity/1",
    "text": {"name": "held-out text of uploader", "sha256": "ab" * 32, "tokens": 512},
    "reference": {"name": "base and adapter, F32", "perplexity": 8.25, "perplexity_error": 0.5},
    "models": [
        {
            "name": "Q4_K_M",
            "file": "tiny-Q4_K_M.gguf",
            "perplexity": 8.5,
            "perplexity_error": 0.5,
            "kl_mean": 0.0123456789,
            "top1": 0.96875,
            "generation_tokens_per_second": 123.4,
        }
    ],
    "llama_cpp": "xllamacpp 2026.10.1",
}
CARDS = {
    "lora": CardFacts(title="LoRA adapter", relation="adapter", library_name="peft"),
    "merged-16bit": CardFacts(title="Merged model", relation="finetune"),
    "gguf": CardFacts(title="GGUF", relation="quantized", library_name="gguf"),
}


def artifact_of(folder: Path, kind: str, *names: str, **metadata: Any) -> Artifact:
    """Write files and return an artifact of them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in names:
        content = f"{kind}: {name}".encode()
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(ArtifactFile(name=name, size=len(content), sha256=digest, role="weights"))
    return Artifact(
        kind=kind,
        path=folder,
        files=tuple(files),
        metadata=metadata,
        producer=f"{kind}:{kind}",
        version=f"uploader-{kind.partition('-')[0]} 0.1.0",
    )


def make_sources(root: Path, licence: str = "apache-2.0") -> dict[str, Path]:
    """Write the small files of a base and of an adapter that TRL made."""
    base, adapter = root / "base", root / "adapter"
    for folder in (base, adapter):
        folder.mkdir(parents=True)
    (base / "README.md").write_text(f"---\nlicense: {licence}\n---\n")
    (base / "config.json").write_text(
        json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )
    (adapter / "README.md").write_text(
        "---\ntags: [trl, sft]\ndatasets: [acme/chats, acme/poems]\n---\n"
        "It has been trained using [TRL].\n\n- TRL: 1.16.0\n- Transformers: 5.24.0\n"
    )
    (adapter / "adapter_config.json").write_text(
        json.dumps({"r": 8, "lora_alpha": 12, "target_modules": ["v_proj", "q_proj"]})
    )
    (adapter / "trainer_state.json").write_text(
        json.dumps({"global_step": 30, "log_history": [{"step": 30, "eval_loss": 1.25}]})
    )
    return {"base": base, "adapter": adapter}


def write_document(
    write: Callable[[StepContext], Artifact],
    root: Path,
    sources: dict[str, Path],
    made: tuple[Artifact, ...],
    *,
    measured: bool = False,
    materials: bool = True,
    settings: BomSettings | None = None,
    **release: Any,
) -> dict[str, str]:
    """Run the step of a document and return what it wrote, by name."""
    out = root / "out"
    found = (
        artifact_of(sources["adapter"], "adapter", "adapter_model.safetensors"),
        artifact_of(
            sources["base"], "base", "model.safetensors", model_id="acme/base", revision=COMMIT
        ),
    )
    fidelity = Artifact(kind="document", path=made[0].path, metadata={"fidelity": dict(FIDELITY)})
    info = {"base_model": "acme/base", "base_is_hub_id": True, "base_revision": COMMIT, **release}
    write(
        StepContext(
            step="provenance:ml-bom",
            inputs=made,
            settings=settings or BomSettings(),
            release=ReleaseInfo(name="tiny", source="adapter", **info),
            output=OutputFolder(out, root / "scratch"),
            work=root / "work",
            produces="document",
            version="uploader-provenance 0.1.0",
            sources=sources,
            materials=found if materials else (),
            measurements=(fidelity,) if measured else (),
            cards=CARDS,
        )
    )
    return {path.name: path.read_text("utf-8") for path in out.iterdir()} if out.is_dir() else {}


def strict_error(text: str) -> object:
    """Return what CycloneDX's strict validator of the newest schema says; None for a valid bill."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(max(SchemaVersion)).validate_str(text)


def references_of(part: Any) -> list[str]:
    """Return every ``bom-ref`` in a bill."""
    if isinstance(part, dict):
        own = [part["bom-ref"]] if "bom-ref" in part else []
        return own + [ref for value in part.values() for ref in references_of(value)]
    return [ref for value in part for ref in references_of(value)] if isinstance(part, list) else []


def hashes_of(component: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of a component's files by name."""
    return {
        file["name"]: file["hashes"][0]["content"]
        for file in component.get("components", ())
        if file["type"] == "file"
    }
