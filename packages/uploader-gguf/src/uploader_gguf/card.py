"""The "Files" section of a card: which quantisation is which, and how to run one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from uploader_core.plugin import Artifact, ArtifactFile, StepContext, UseContext
from uploader_gguf.chat_template import notes as chat_template
from uploader_gguf.format.quants import QUANTS
from uploader_lora.task import Task
from uploader_lora.where_it_runs import shown
from uploader_merged.fidelity.card import HEADS, RULES, cells, measured, method

_EMBEDDING = ("sentence-similarity", "feature-extraction")
_GENERATING = ("text-generation", "image-text-to-text", "text2text-generation", "translation")
"""Tasks whose models llama.cpp and Ollama converse with."""

_FAVOURITES = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q6_K", "Q8_0", "BF16", "F16")


def section(context: StepContext) -> str:
    """Return the section's Markdown, or "" when there is no GGUF artifact."""
    for artifact in context.inputs:
        if artifact.kind == "gguf":
            pictures = [
                f.name for m in context.measurements for f in m.files if f.role == "picture"
            ]
            # uploader-ollama has a section of its own about it, which says more.
            ollama = not entry_points(group="uploader_core.schemes", name="ollama")
            return render(artifact, context.model_id, measured(context), pictures, ollama=ollama)
    return ""


def render(
    artifact: Artifact,
    model_id: str = "",
    fidelity: Mapping[str, Any] | None = None,
    pictures: Sequence[str] = (),
    *,
    ollama: bool = True,
) -> str:
    """Return a table of the files with size and bits per weight, and commands to run one.

    Args:
        artifact: With the files.
        model_id: Repository on the Hub that will hold them, "" when none will.
        fidelity: Content of ``fidelity.json``, empty when nothing was measured.
        pictures: Files that show size against quality.
        ollama: Whether to say how Ollama runs one.
    """
    by_kind = _by_kind(artifact)
    weights = artifact.metadata.get("parameters")
    if not by_kind:
        return ""
    models = {m["name"]: m for m in fidelity["models"]} if fidelity else {}
    lines = ["| file | kind | size | bits per weight |", "| --- | --- | ---: | ---: |"]
    if models:
        lines[0] += HEADS
        lines[1] += RULES
    for kind, files in sorted(by_kind.items(), key=lambda item: _size(item[1])):
        # The first of several: it leads llama.cpp to the others.
        first = f"[`{files[0].name}`]({files[0].name})"
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        size = _size(files)
        bits = f"{8 * size / weights:.2f}" if isinstance(weights, int) and weights else ""
        text = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
        numbers = f" {cells(models[kind])} |" if kind in models else ""
        lines.append(f"| {first}{more} | {kind} | {text} | {bits} |{numbers}")
    projector = artifact.metadata.get("mmproj")
    if isinstance(projector, str):
        lines.append(f"| [`{projector}`]({projector}) | for images and sound | | |")
    if fidelity:
        lines += ["", *(f"![size against quality]({name})\n" for name in pictures)]
        lines.append(method(fidelity))
    lines += _how_to_run(artifact, by_kind, model_id, projector, ollama=ollama)
    lines += chat_template.section(artifact.metadata)
    lines += shown(artifact.metadata)
    return "\n".join(lines)


def _how_to_run(
    artifact: Artifact,
    by_kind: dict[str, list[ArtifactFile]],
    model_id: str,
    projector: object,
    *,
    ollama: bool,
) -> list[str]:
    """Return commands for what the model is for; none where llama.cpp has no program for it."""
    task = Task.of(artifact.metadata)
    kind = _favourite(by_kind)
    name = by_kind[kind][0].name
    if task.tag in _EMBEDDING:
        where = f"-hf {model_id}:{kind}" if model_id else f"-m {name}"
        return [
            "",
            "With [llama.cpp](https://github.com/ggml-org/llama.cpp):",
            "",
            f'    llama-embedding {where} -p "some text"',
        ]
    if not _generates(artifact):
        return []
    return [
        "",
        "With [llama.cpp](https://github.com/ggml-org/llama.cpp):",
        "",
        f"    llama-mtmd-cli -m {name} --mmproj {projector}"
        if isinstance(projector, str)
        else f"    llama-cli -hf {model_id}:{kind}"
        if model_id
        else f"    llama-cli -m {name}",
        *(_with_ollama(kind, name, model_id) if ollama and len(by_kind[kind]) == 1 else ()),
    ]


def _with_ollama(kind: str, name: str, model_id: str) -> list[str]:
    return [
        "",
        "With [Ollama](https://ollama.com), from the downloaded file:",
        "",
        f'    echo "FROM ./{name}" > Modelfile',
        f"    ollama create {name.removesuffix('.gguf').lower()} -f Modelfile",
        "",
        "or straight from the Hub:",
        "",
        f"    ollama run hf.co/{model_id or '<owner>/<repo>'}:{hub_tag(kind, name)}",
    ]


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run the artifact: from the Hub where it is there, else from its file."""
    by_kind = _by_kind(context.artifact)
    if not by_kind:
        return []
    kind = _favourite(by_kind)
    repo = context.published.get("hf")
    task = Task.of(context.artifact.metadata)
    if task.tag in _EMBEDDING:
        place = f"-hf {repo}:{kind}" if repo else f"-m {shlex.quote(str(_first(context, by_kind)))}"
        return [("llama.cpp", f"llama-embedding {place} -p 'some text'")]
    if not _generates(context.artifact):
        return []
    # Vision needs the projector next to it, which llama.cpp finds on the Hub by itself.
    seeing = isinstance(context.artifact.metadata.get("mmproj"), str)
    program = "llama-mtmd-cli" if seeing else "llama-cli"
    split = len(by_kind[kind]) > 1  # Ollama loads no file that is split
    ollama = [] if split else [("Ollama", _run_with_ollama(context, by_kind))]
    if repo is not None:
        return [*ollama, ("llama.cpp", f"{program} -hf {repo}:{kind}")]
    model = shlex.quote(str(_first(context, by_kind)))
    more = ""
    if seeing:
        projector = context.artifact.path / str(context.artifact.metadata["mmproj"])
        more = f" --mmproj {shlex.quote(str(projector))}"
    return [*ollama, ("llama.cpp", f"{program} -m {model}{more}")]


def _run_with_ollama(context: UseContext, by_kind: Mapping[str, list[ArtifactFile]]) -> str:
    """Return the command for where the model is: in Ollama, in a registry, on the Hub, or here."""
    for scheme, place in context.published.items():
        if scheme in ("ollama", "ollama-registry"):
            return f"ollama run {place}"
    kind = _favourite(by_kind)
    repo = context.published.get("hf")
    if repo is not None:
        return f"ollama run hf.co/{repo}:{hub_tag(kind, by_kind[kind][0].name)}"
    path = _first(context, by_kind)
    name, beside = path.stem.lower(), path.with_name("Modelfile")
    if beside.is_file():
        return f"ollama create {name} -f {shlex.quote(str(beside))}; ollama run {name}"
    model = shlex.quote(str(path))
    return f"echo FROM {model} > Modelfile; ollama create {name}; ollama run {name}"


def _generates(artifact: Artifact) -> bool:
    """Return whether there is something to converse with; one that sees or hears can always."""
    known = "task" not in artifact.metadata or Task.of(artifact.metadata).tag in _GENERATING
    return known or isinstance(artifact.metadata.get("mmproj"), str)


def _first(context: UseContext, by_kind: Mapping[str, list[ArtifactFile]]) -> Path:
    return context.artifact.path / by_kind[_favourite(by_kind)][0].name


def _by_kind(artifact: Artifact) -> dict[str, list[ArtifactFile]]:
    quants = artifact.metadata.get("quants")
    kinds = {str(k): str(v) for k, v in quants.items()} if isinstance(quants, dict) else {}
    by_kind: dict[str, list[ArtifactFile]] = {}
    for file in sorted(artifact.files, key=lambda file: file.name):
        if file.name in kinds:
            by_kind.setdefault(kinds[file.name], []).append(file)
    return by_kind


def _favourite(by_kind: Mapping[str, list[ArtifactFile]]) -> str:
    return next((k for k in _FAVOURITES if k in by_kind), next(iter(by_kind)))


def hub_tag(kind: str, name: str) -> str:
    """Return what the Hub finds a file by for Ollama: a stock kind, or the file's whole name.

    llama.cpp looks for any part of a name that ends in a dot or a dash.
    """
    return kind if kind in QUANTS else name


def _size(files: list[ArtifactFile]) -> int:
    return sum(file.size for file in files)
