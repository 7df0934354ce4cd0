"""The model card of one artifact: metadata that the Hub reads, and what the plugins have to say.

No field is invented: what is not known is left out. No local path gets in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from uploader_core.plugin import Artifact, ReleaseInfo, StepContext

# kind -> (relation to the base, library, tags)
_KINDS: Mapping[str, tuple[str | None, str | None, tuple[str, ...]]] = {
    "lora": ("adapter", "peft", ("lora",)),
    "gguf-lora": ("adapter", None, ("lora", "gguf")),
    "merged-16bit": ("finetune", "transformers", ()),
    "merged-4bit": ("quantized", "transformers", ("bitsandbytes",)),
    "gguf": ("quantized", "gguf", ("gguf",)),
}
_TITLES = {
    "lora": "LoRA adapter",
    "merged-16bit": "merged model in 16 bit",
    "merged-4bit": "merged model in 4 bit",
    "gguf": "GGUF for llama.cpp and Ollama",
    "gguf-lora": "LoRA adapter as GGUF",
}


def write(context: StepContext) -> Artifact:
    """Write ``README.md`` into the artifact's folder."""
    (artifact,) = context.inputs
    text = render(artifact, context.release, [(s.heading, s.text) for s in context.sections])
    context.output.write("README.md", text, role="document")
    return context.artifact()


def render(artifact: Artifact, release: ReleaseInfo, sections: list[tuple[str, str]]) -> str:
    """Return the card's text.

    Args:
        artifact: What it describes.
        release: What the run is about.
        sections: Heading and Markdown, in order.
    """
    from huggingface_hub import ModelCardData

    relation, library, tags = _KINDS.get(artifact.kind, (None, None, (artifact.kind,)))
    known: dict[str, object] = {"tags": ["uploader", *tags]}
    if library is not None:
        known["library_name"] = library
    if release.base_is_hub_id and release.base_model is not None:
        known["base_model"] = release.base_model
        if relation is not None:
            known["base_model_relation"] = relation
    data = ModelCardData(**known)  # type: ignore[arg-type]
    lines = ["---", data.to_yaml().strip(), "---", "", f"# {release.name}", ""]
    lines += [_introduction(artifact, release)]
    for heading, text in sections:
        if text.strip():
            lines += ["", f"## {heading}", "", text.strip()]
    lines += [
        "",
        "## Check a download",
        "",
        "Every file with size and sha256 is in `upload_manifest.json`; compare a download with",
        "`uploader verify .`.",
        "",
        "Made with [uploader](https://pypi.org/project/uploader-core/).",
        "",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _introduction(artifact: Artifact, release: ReleaseInfo) -> str:
    what = _TITLES.get(artifact.kind, artifact.kind)
    text = f"{what[0].upper()}{what[1:]}"
    if release.base_is_hub_id and release.base_model is not None:
        link = f"[{release.base_model}](https://huggingface.co/{release.base_model})"
        return f"{text}, fine-tuned from {link}."
    return f"{text}."
