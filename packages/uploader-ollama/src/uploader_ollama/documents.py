"""What lies beside the GGUF files for Ollama: a Modelfile, and what the Hub hands to Ollama.

``ollama create NAME -f Modelfile`` makes the model of the files in a folder. ``params``,
``system`` and ``template`` are what ``ollama run hf.co/owner/repo`` reads at the root of a
repository; ``template`` is the user's, else a Go template that was proven to say what the GGUF's
own says, because the Hub would make one that nobody compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import Artifact, StepContext, parse_json
from uploader_gguf.card import hub_tag
from uploader_gguf.llama_cpp.weights import Weights, open_weights
from uploader_lora.companions import companion_files, companion_role
from uploader_ollama.model.facts import Facts, read_facts, special_texts
from uploader_ollama.model.hub_template import hub_template
from uploader_ollama.model.modelfile import NAME, why_not, write_modelfile
from uploader_ollama.model.pieces import default_kind
from uploader_ollama.model.recipe import Recipe, make_recipe, params_json
from uploader_ollama.model.versions import renderer_of

_LARGEST = 1 << 20


def write(context: StepContext) -> Artifact:
    """Write ``Modelfile`` for the kind with the plain name, and the others that are needed.

    Nothing is written where files are cut: Ollama does not take them.
    """
    found = _read(context)
    if found is not None:
        recipe, files, chats = found
        projector = _gguf(context).metadata.get("mmproj")
        names = [files[0], *([projector] if isinstance(projector, str) else [])]
        proven = hub_template(_gguf(context).path / files[0])
        texts = (
            (NAME, "document", write_modelfile(recipe, names, files[1:], chats=chats)),
            ("params", "config", params_json(recipe) if recipe.parameters else ""),
            ("system", "config", recipe.system),
            ("template", "template", recipe.template or proven),
        )
        for name, role, text in texts:
            if text:
                context.output.write(name, text, role=role)
    return context.artifact()


def section(context: StepContext) -> str:
    """Return what a card says of Ollama, or "" where it runs none of the files."""
    artifact = next((a for a in context.inputs if a.kind == "gguf"), None)
    files = [] if artifact is None else _files(artifact, "")
    if artifact is None or not files:
        return ""
    lines = ["From a folder with these files:", "", f"    ollama create NAME -f {NAME}"]
    facts = _facts(artifact, files[0])
    if facts is None or not facts.template:
        return "\n".join(lines)  # nobody converses with it, or nobody knows how
    quants = artifact.metadata.get("quants")
    kind = str(quants.get(files[0])) if isinstance(quants, dict) else ""
    place = context.model_id or "<owner>/<repo>"
    lines += [
        "",
        "The model gets its stops and parameters from there, and no `TEMPLATE`: Ollama 0.30 and "
        "later renders the chat template in the GGUF. Straight from the Hub:",
        "",
        f"    ollama run hf.co/{place}:{hub_tag(kind, files[0])}",
        "",
        "uses a Go template instead: "
        + (
            "the file `template`, which renders plain conversations to the same bytes."
            if hub_template(artifact.path / files[0])
            else "one that the Hub makes of the GGUF's, and that may be another. None was proven "
            "to render the same bytes."
        ),
    ]
    renderer = renderer_of(facts.architecture)
    if renderer is not None:
        lines += [
            "",
            f"`ollama create` gives every {facts.architecture} model its own renderer, "
            f"`{renderer}`, which answers in place of that template.",
        ]
    return "\n".join(lines)


def _read(context: StepContext) -> tuple[Recipe, list[str], bool] | None:
    """Return what to say, the whole files, the default first, and whether they have a template."""
    artifact, settings = _gguf(context), context.settings
    files = _files(artifact, settings.default)
    facts = _facts(artifact, files[0]) if files else None
    if facts is None:
        return None
    weights = _weights(context)
    generation = _generation(weights)
    ids = generation.get("eos_token_id")
    named = [i for i in (ids if isinstance(ids, list) else [ids]) if type(i) is int]
    ends = []
    for end in (*facts.ends, *special_texts(artifact.path / files[0], named)):
        # A stop that cannot be written down is no reason to release nothing.
        if why := why_not(end):
            context.log.warning("%r is no stop in the %s: %s", end, NAME, why)
        else:
            ends.append(end)
    recipe = make_recipe(ends, generation, settings, _licences(context, weights))
    return recipe, files, bool(facts.template)


def _gguf(context: StepContext) -> Artifact:
    return next(artifact for artifact in context.inputs if artifact.kind == "gguf")


def _files(artifact: Artifact, default: str) -> list[str]:
    """Return the names of whole files, that of the plain name first."""
    quants = artifact.metadata.get("quants")
    kinds = {str(v): str(k) for k, v in quants.items()} if isinstance(quants, dict) else {}
    whole = not isinstance(quants, dict) or len(kinds) == len(quants)
    if not kinds or not whole:
        return []
    first = default_kind(list(kinds), default)
    return [kinds[first], *(name for kind, name in kinds.items() if kind != first)]


def _facts(artifact: Artifact, name: str) -> Facts | None:
    path = artifact.path / name
    return read_facts(path) if path.is_file() else None


def _weights(context: StepContext) -> Weights | None:
    checkpoint = next((a for a in context.inputs if a.kind == "checkpoint"), None)
    return None if checkpoint is None else open_weights(checkpoint)


def _generation(weights: Weights | None) -> Mapping[str, Any]:
    for file in () if weights is None else weights.companions():
        if file.name == "generation_config.json":
            text = file.text if file.text is not None else file.path.read_text("utf-8")
            found: Mapping[str, Any] = parse_json(text)
            return found
    return {}


def _licences(context: StepContext, weights: Weights | None) -> list[str]:
    """Return the licences that go with the model: its own, else the base's."""
    places = [{} if weights is None else weights.auxiliary()]
    places += [companion_files(f) for kind, f in context.sources.items() if kind == "base"]
    for files in places:
        texts = list(_texts(files))
        if texts:
            return texts
    return []


def _texts(files: Mapping[str, Path]) -> Iterator[str]:
    for name, path in files.items():
        if companion_role(name) == "licence" and path.stat().st_size <= _LARGEST:
            yield path.read_text("utf-8", errors="replace")
