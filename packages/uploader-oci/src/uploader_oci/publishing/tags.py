"""Which tags a step makes, and what is behind each.

A GGUF repository on the Hub has many quantisations beside each other; in a registry each is a tag,
for runners take all weights of a manifest for the parts of one model. The documents go with each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uploader_core.plugin import (
    Artifact,
    RefusedError,
    ReleaseInfo,
    UploadFile,
    hash_file,
    parse_json,
)
from uploader_oci.modelpack.facts import Facts, find_facts
from uploader_oci.modelpack.forms import FORMS, PARTIAL, Packed, pack
from uploader_oci.modelpack.layers import layers_of
from uploader_oci.publishing.names import beside

MANIFEST = "upload_manifest.json"
USUAL = "Q4_K_M"
"""The quantisation that the tag itself stands for; where it is not there, the smallest."""

_MODELFILE = "Modelfile"
_DETACHED = "detached"
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tagged:
    """One manifest under one tag.

    Attributes:
        tag: Its tag.
        files: Files of it.
        packed: The manifest.
    """

    tag: str
    files: tuple[UploadFile, ...]
    packed: Packed


def plan_tags(
    tag: str,
    form: str,
    files: Sequence[UploadFile],
    artifacts: Sequence[Artifact],
    release: ReleaseInfo,
    work: Path,
) -> list[Tagged]:
    """Return everything that a step tags; the tag that was asked for is the last.

    Args:
        tag: That was asked for.
        form: What ``--oci-format`` says.
        files: Of the step.
        artifacts: That they belong to.
        release: What the run is about.
        work: Scratch folder, for manifests of ours that list fewer files.

    Raises:
        RefusedError: The form has no room for such a model.
    """
    projectors = [str(a.metadata["mmproj"]) for a in artifacts if a.metadata.get("mmproj")]
    quants = quants_of([file.name for file in files], artifacts)
    sizes = {file.name: file.size for file in files}
    weights = {quant: sum(map(sizes.__getitem__, names)) for quant, names in quants.items()}
    found: list[Tagged] = []
    for own, quant in tags_of(tag, weights):
        others = {name for q, names in quants.items() if q != quant for name in names}
        chosen = _without(files, others, work / own)
        layers = layers_of(chosen, projectors)
        facts = find_facts(release, chosen, layers, artifacts, quant)
        for place, name in forms_of(own, form):
            packed = pack(name, facts, layers)
            if packed is not None:
                names = {layer.name for layer in packed.layers}
                there = tuple(file for file in chosen if file.name in names)
                found.append(Tagged(tag=place, files=there, packed=packed))
    if not any(tagged.tag == tag for tagged in found):
        raise no_form(form, facts)
    return sorted(found, key=lambda tagged: tagged.tag == tag)


def no_form(form: str, facts: Facts) -> RefusedError:
    """Return the error for a model that a form has no room for."""
    return RefusedError(
        f"--oci-format {form} has no form for this: {facts.role}, "
        f"{facts.format or 'weights of another format'}",
        owner=f"the kind {facts.kind}",
        safe="nothing was sent",
        next="--oci-format modelpack takes every format",
    )


def forms_of(tag: str, form: str) -> list[tuple[str, str]]:
    """Return the tag of each form that is asked for; one alone has the tag itself.

    Not an index over all of them: Docker Model Runner and Ollama ask for a manifest by its tag. A
    form that leaves files out has the whole release beside it.
    """
    if form in PARTIAL:
        return [(beside(tag, FORMS[0]), FORMS[0]), (tag, form)]
    if form != "all":
        return [(tag, form)]
    return [(tag if name == FORMS[0] else beside(tag, name), name) for name in FORMS]


def tags_of(tag: str, quants: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the tags of a step with the quantisation of each; "" for all there is.

    Args:
        tag: That was asked for.
        quants: Bytes by quantisation.
    """
    if len(quants) < 2:
        return [(tag, next(iter(quants), ""))]
    usual = USUAL if USUAL in quants else min(quants, key=lambda name: (quants[name], name))
    return [*((beside(tag, name), name) for name in quants), (tag, usual)]


def quants_of(names: Iterable[str], artifacts: Iterable[Artifact]) -> dict[str, list[str]]:
    """Return the names of GGUF files by quantisation, where they are at the root.

    Args:
        names: Of the files.
        artifacts: Whose ``quants`` say which file has which; without, the end of the name does.
    """
    said: dict[str, str] = {}
    for artifact in artifacts:
        quants = artifact.metadata.get("quants")
        if isinstance(quants, dict):
            said |= {str(name): str(quant) for name, quant in quants.items()}
    found: dict[str, list[str]] = {}
    for name in names:
        if name.lower().endswith(".gguf") and "/" not in name and not (said and name not in said):
            stem = _PART.sub("", name)[: -len(".gguf")]
            found.setdefault(said.get(name) or stem.rpartition("-")[2], []).append(name)
    return found


def _without(
    files: Sequence[UploadFile], names: Collection[str], work: Path
) -> tuple[UploadFile, ...]:
    """Leave files out, also of the manifest of ours that lists them.

    Args:
        files: Of the step.
        names: What is not behind this tag.
        work: Folder for the shorter manifest.
    """
    if not names:
        return tuple(files)
    # A Modelfile is of no use where the file is not that it runs, and what is about all files of
    # the release, such as a signature, is not about a part of them.
    idle = [f.name for f in files if f.name == _MODELFILE and _runs(f) in names]
    about_all = [name for f in files if f.name == MANIFEST for name in _detached(f)]
    names = {*names, *idle, *about_all}
    return tuple(
        _shorter(file, names, work) if file.name == MANIFEST else file
        for file in files
        if file.name not in names
    )


def _runs(modelfile: UploadFile) -> str:
    """Return the name of the file that a Modelfile runs."""
    text = modelfile.path.read_text("utf-8", errors="replace")
    found = re.search(r"(?im)^\s*FROM\s+(?:\./)?(\S+)", text)
    return found[1] if found else ""


def _detached(manifest: UploadFile) -> list[str]:
    """Return the names of the documents about everything that a manifest lists."""
    found = parse_json(manifest.path.read_text("utf-8")).get(_DETACHED)
    return [str(name) for name in found] if isinstance(found, list) else []


def _shorter(manifest: UploadFile, names: Collection[str], work: Path) -> UploadFile:
    data = parse_json(manifest.path.read_text("utf-8"))
    data.pop(_DETACHED, None)
    data["files"] = [file for file in data["files"] if file["path"] not in names]
    path = work / MANIFEST
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", "utf-8", newline="\n")
    size, digest = hash_file(path)
    return replace(manifest, path=path, size=size, sha256=digest)
