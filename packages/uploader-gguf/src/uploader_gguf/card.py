"""The "Files" section of a card: which quantisation is which, and how to run one."""

from __future__ import annotations

from uploader_core.plugin import Artifact, StepContext

_FAVOURITES = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q6_K", "Q8_0", "BF16", "F16")


def section(context: StepContext) -> str:
    """Return the section's Markdown, or "" when there is no GGUF artifact."""
    for artifact in context.inputs:
        if artifact.kind == "gguf":
            return render(artifact)
    return ""


def render(artifact: Artifact) -> str:
    """Return a table of the files with size and bits per weight, and commands to run one."""
    quants = artifact.metadata.get("quants")
    kinds = {str(k): str(v) for k, v in quants.items()} if isinstance(quants, dict) else {}
    weights = artifact.metadata.get("parameters")
    lines = ["| file | kind | size | bits per weight |", "| --- | --- | ---: | ---: |"]
    files = sorted((f for f in artifact.files if f.name in kinds), key=lambda f: f.size)
    for file in files:
        bits = f"{8 * file.size / weights:.2f}" if isinstance(weights, int) and weights else ""
        size = f"{file.size / 1e9:.2f} GB" if file.size >= 1e9 else f"{file.size / 1e6:.1f} MB"
        lines.append(f"| [`{file.name}`]({file.name}) | {kinds[file.name]} | {size} | {bits} |")
    if not files:
        return ""
    by_kind = {kinds[file.name]: file.name for file in files}
    kind = next((k for k in _FAVOURITES if k in by_kind), kinds[files[0].name])
    name = by_kind[kind]
    lines += [
        "",
        "With [llama.cpp](https://github.com/ggml-org/llama.cpp):",
        "",
        f"    llama-cli -m {name}",
        "",
        "With [Ollama](https://ollama.com), from the downloaded file:",
        "",
        f'    echo "FROM ./{name}" > Modelfile',
        f"    ollama create {name.removesuffix('.gguf').lower()} -f Modelfile",
        "",
        f"or straight from a repository on the Hub: `ollama run hf.co/<owner>/<repo>:{kind}`.",
    ]
    return "\n".join(lines)
