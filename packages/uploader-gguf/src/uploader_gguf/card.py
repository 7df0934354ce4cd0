"""The "Files" section of a card: which quantisation is which, and how to run one."""

from __future__ import annotations

from uploader_core.plugin import Artifact, ArtifactFile, StepContext

_FAVOURITES = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q6_K", "Q8_0", "BF16", "F16")


def section(context: StepContext) -> str:
    """Return the section's Markdown, or "" when there is no GGUF artifact."""
    for artifact in context.inputs:
        if artifact.kind == "gguf":
            return render(artifact, context.model_id)
    return ""


def render(artifact: Artifact, model_id: str = "") -> str:
    """Return a table of the files with size and bits per weight, and commands to run one.

    Args:
        artifact: With the files.
        model_id: Repository on the Hub that will hold them, "" when none will.
    """
    quants = artifact.metadata.get("quants")
    kinds = {str(k): str(v) for k, v in quants.items()} if isinstance(quants, dict) else {}
    weights = artifact.metadata.get("parameters")
    by_kind: dict[str, list[ArtifactFile]] = {}
    for file in sorted(artifact.files, key=lambda file: file.name):
        if file.name in kinds:
            by_kind.setdefault(kinds[file.name], []).append(file)
    if not by_kind:
        return ""
    lines = ["| file | kind | size | bits per weight |", "| --- | --- | ---: | ---: |"]
    for kind, files in sorted(by_kind.items(), key=lambda item: _size(item[1])):
        # The first of several: it leads llama.cpp to the others.
        first = f"[`{files[0].name}`]({files[0].name})"
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        size = _size(files)
        bits = f"{8 * size / weights:.2f}" if isinstance(weights, int) and weights else ""
        text = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
        lines.append(f"| {first}{more} | {kind} | {text} | {bits} |")
    projector = artifact.metadata.get("mmproj")
    if isinstance(projector, str):
        lines.append(f"| [`{projector}`]({projector}) | for images and sound | | |")
    kind = next((k for k in _FAVOURITES if k in by_kind), next(iter(by_kind)))
    name = by_kind[kind][0].name
    lines += [
        "",
        "With [llama.cpp](https://github.com/ggml-org/llama.cpp):",
        "",
        f"    llama-mtmd-cli -m {name} --mmproj {projector}"
        if isinstance(projector, str)
        else f"    llama-cli -hf {model_id}:{kind}"
        if model_id
        else f"    llama-cli -m {name}",
        "",
        "With [Ollama](https://ollama.com), from the downloaded file:",
        "",
        f'    echo "FROM ./{name}" > Modelfile',
        f"    ollama create {name.removesuffix('.gguf').lower()} -f Modelfile",
        "",
        "or straight from the Hub:",
        "",
        f"    ollama run hf.co/{model_id or '<owner>/<repo>'}:{kind}",
    ]
    return "\n".join(lines)


def _size(files: list[ArtifactFile]) -> int:
    return sum(file.size for file in files)
