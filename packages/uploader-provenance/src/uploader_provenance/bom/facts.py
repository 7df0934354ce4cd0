"""What a bill of materials says, gathered from a step's context and named for nobody's format.

Nothing depends on machine or time: the same sources and tools give the same facts anywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    CardFacts,
    Json,
    Lineage,
    StepContext,
    read_json,
    read_lineage,
)
from uploader_provenance.licences.said import SaidLicence, licences_said

_VERSION = r"v?\d+(?:\.\d+)+[\w.+-]*"
_NAME_AND_VERSION = re.compile(rf"([A-Za-z][\w.-]*) ({_VERSION})(?:,.*)?")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Something that a release was made of.

    Attributes:
        kind: ``adapter``, ``base``, ``checkpoint`` or another kind of source.
        name: Hub id, or words where it has none.
        hub_id: Whether ``name`` is a Hub id.
        revision: Commit, "" where it is not known.
        files: With digests; empty where the release was made without reading it.
    """

    kind: str
    name: str
    hub_id: bool
    revision: str
    files: tuple[ArtifactFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One artifact, and what was measured of it.

    Attributes:
        artifact: With its files.
        card: What cards say of its kind.
        fidelity: Content of ``fidelity.json``, empty where nothing was measured.
        task: As the Hub names it, "" where that is not known.
    """

    artifact: Artifact
    card: CardFacts
    fidelity: Mapping[str, Any]
    task: str

    @property
    def is_adapter(self) -> bool:
        """Whether it holds no weights of the base."""
        return self.card.relation == "adapter"

    @property
    def digest(self) -> str:
        """Digest of names and digests of all files: equal content, equal digest."""
        return digest_of(self.artifact.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of a release, or of one artifact of it.

    Attributes:
        name: Of the release.
        made: The artifacts.
        materials: What they were made of, the base first.
        lineage: How the model was trained.
        architecture: Class of the model (``LlamaForCausalLM``), "" where that is not known.
        family: Its family (``llama``), "" where that is not known.
        licence: What the release and its base say.
        tools: Versions by name.
        override: Why a licence was overruled, "" where none was.
        limits: What users should know, in sentences.
    """

    name: str
    made: tuple[Made, ...]
    materials: tuple[Material, ...]
    lineage: Lineage
    architecture: str
    family: str
    licence: SaidLicence
    tools: Mapping[str, str]
    override: str = ""
    limits: tuple[str, ...] = ()


def gather(context: StepContext) -> Facts:
    """Gather what is known of the artifacts that a document is about."""
    config = _config(context.sources)
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    lineage = read_lineage(context.sources)
    family = config.get("model_type")
    return Facts(
        name=context.release.name,
        made=tuple(_made(context, artifact, str(first)) for artifact in context.inputs),
        materials=tuple(_materials(context)),
        lineage=lineage,
        architecture=str(first),
        family=family if isinstance(family, str) else "",
        licence=licences_said(context.sources, context.release),
        tools=dict(sorted(_tools(context, lineage))),
        override=context.settings.licence_override,
        limits=(context.release.without,) if context.release.without else (),
    )


def digest_of(files: Iterable[ArtifactFile]) -> str:
    """Return one digest of names and digests, that of the lines that ``sha256sum`` prints."""
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _made(context: StepContext, artifact: Artifact, architecture: str) -> Made:
    card = _card(context, artifact)
    measured: Json = next(
        (
            found.metadata["fidelity"]
            for found in context.measurements
            if found.path == artifact.path and "fidelity" in found.metadata
        ),
        None,
    )
    said = artifact.metadata.get("task")
    guess = "text-generation" if architecture.endswith("ForCausalLM") else ""
    return Made(
        artifact=artifact,
        card=card,
        fidelity=measured if isinstance(measured, dict) else {},
        task=card.pipeline_tag or (said if isinstance(said, str) else guess),
    )


def _card(context: StepContext, artifact: Artifact) -> CardFacts:
    return context.cards.get(artifact.kind, CardFacts(title=artifact.kind))


def _materials(context: StepContext) -> Iterator[Material]:
    release = context.release
    found = {material.kind: material for material in context.materials}
    known = release.base_model if release.base_is_hub_id and release.base_model else ""
    if known and "base" not in found and "checkpoint" not in found:
        # An adapter alone is made without reading its base. Only a pin says which commit it was.
        yield Material(
            kind="base",
            name=known,
            hub_id=True,
            revision=(release.base_revision or "") if release.base_pinned else "",
            files=(),
        )
    for kind in sorted(found, key=lambda kind: (kind not in ("base", "checkpoint"), kind)):
        artifact = found[kind]
        said, commit = (artifact.metadata.get(name) for name in ("model_id", "revision"))
        name = said if isinstance(said, str) and _HUB_ID.fullmatch(said) else ""
        if kind in ("base", "checkpoint"):
            name, commit = name or known, commit or release.base_revision
        yield Material(
            kind=kind,
            name=name or f"{kind} of {release.name}",
            hub_id=bool(name),
            revision=commit if isinstance(commit, str) and name else "",
            files=tuple(sorted(artifact.files, key=lambda file: file.name)),
        )


def _tools(context: StepContext, lineage: Lineage) -> Iterator[tuple[str, str]]:
    """Yield names and versions of what made the release, as records say."""
    yield from lineage.software.items()
    for artifact in (*context.inputs, *context.measurements):
        yield from _named(artifact.version)
        fidelity = artifact.metadata.get("fidelity")
        measured = fidelity if isinstance(fidelity, dict) else {}
        for name, value in (*measured.items(), *artifact.metadata.items()):
            if not isinstance(value, str):
                continue
            if re.fullmatch(_VERSION, value):
                yield name.removesuffix("_version").replace("_", "-"), value
            yield from _named(value)
    yield from _named(context.version)


def _named(text: str) -> Iterator[tuple[str, str]]:
    # What follows a comma is the machine's: which instructions its processor has.
    match = _NAME_AND_VERSION.fullmatch(text)
    if match is not None:
        yield match[1], match[2]


def _config(sources: Mapping[str, Path]) -> dict[str, Any]:
    for kind in ("base", "checkpoint"):
        if kind in sources:
            try:
                config = read_json(sources[kind] / "config.json")
            except (OSError, ValueError):
                continue
            if isinstance(config, dict):
                return config
    return {}
