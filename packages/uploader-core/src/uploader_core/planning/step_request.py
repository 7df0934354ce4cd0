"""A step, described for a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from uploader_core.artifact import Artifact, UploadFile
from uploader_core.contract.specs import CardFacts, DocumentSpec, MakeSpec, UploadSpec
from uploader_core.contract.step_context import StepData
from uploader_core.fidelity import stand_in
from uploader_core.manifest_file import CARD, NAME
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.plugins.registry import Plugin
from uploader_core.workers.messages import SectionRequest, Settings, StepRequest

S = TypeVar("S", bound=StepRequest[Any])


def stand_ins(
    plan: Plan, step: PlannedStep, virtual: Mapping[str, Artifact]
) -> tuple[Artifact, ...]:
    """Return a step's inputs as far as they are known before the run."""
    found = []
    for source in step.inputs:
        if source.startswith("source:"):
            found.append(plan.sources.artifacts[source.removeprefix("source:")])
        elif source in virtual:
            found.append(virtual[source])
        else:
            maker = plan.step(source)
            path = plan.output / (maker.folder or ".")
            found.append(stand_in(maker.spec, kind=maker.kind, path=path, producer=source))
    return tuple(found)


def section_of(plugin: Plugin, spec: DocumentSpec, kind: str, settings: object) -> SectionRequest:
    """Describe a section that another plugin's document holds.

    Args:
        plugin: Whose section it is.
        spec: Of the section.
        kind: Artifact kind that it is about.
        settings: Of the section.
    """
    return SectionRequest(
        plugin=plugin.id,
        owner=plugin.entry.owner,
        heading=spec.section or "",
        run=spec.run,
        kind=kind,
        settings=Settings.of(plugin.id, settings),
    )


def make_request(
    kind: type[S],
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    *,
    output: Path,
    work: Path,
    units: Path | None = None,
    files: tuple[UploadFile, ...] = (),
    state: Path | None = None,
    materials: Iterable[Artifact] = (),
) -> S:
    """Describe a step for a worker.

    Args:
        kind: Whether it makes something or uploads.
        plan: What the step belongs to.
        step: The step.
        inputs: Its inputs; those that measure others are the last.
        output: Folder that it writes.
        work: Its scratch folder.
        units: Folder of the records of single files.
        files: For uploads: what shall arrive. For documents of a place: what is there.
        state: For uploads: folder that outlives the attempt.
        materials: For documents: the sources, with digests.
    """
    spec = step.spec
    is_upload = isinstance(spec, UploadSpec)
    own = len(inputs) - len(step.measurements)
    return kind(
        step=step.id,
        owner=step.plugin.entry.owner,
        secrets=step.secrets,
        network=is_upload or bool(step.secrets),
        run=spec.run,
        context=StepData(
            step=step.id,
            inputs=inputs[:own],
            measurements=inputs[own:],
            release=plan.release,
            work=work,
            produces=step.kind,
            version=step.plugin.entry.owner,
            target=step.target,
            destination=step.destination,
            targets=tuple(
                s.target or "" for s in plan.uploads if s.destination == step.destination
            ),
            files=files,
            loads=plan.loads_of(step.inputs, flatten=step.flatten) if is_upload else (),
            sources=plan.source_folders if isinstance(spec, DocumentSpec) else {},
            materials=tuple(materials),
            model_id=step.model_id,
            cards={s.kind: _card(s) for s in plan.steps if s.id in step.subjects},
            variant=step.variant,
            state=state,
        ),
        settings=Settings.of(step.plugin.id, step.settings),
        output=output,
        units=units,
        sections=step.sections,
        together=isinstance(spec, MakeSpec) and spec.together,
        reserved=_reserved(plan, step, inputs, output),
    )


def _card(step: PlannedStep) -> CardFacts:
    """Return what cards say of what a step makes."""
    card = step.spec.card if isinstance(step.spec, MakeSpec) else None
    card = card or CardFacts(tags=(step.kind,))
    variant = f" ({step.variant})" if step.variant else ""
    return replace(card, title=(card.title or step.spec.summary) + variant)


def _reserved(
    plan: Plan, step: PlannedStep, inputs: tuple[Artifact, ...], output: Path
) -> tuple[str, ...]:
    """Return the names that others write into a step's folder.

    A release has a manifest wherever it goes and a card in every folder, whoever writes it today.
    """
    if isinstance(step.spec, DocumentSpec):
        return (NAME, *(f.name for made in inputs if made.path == output for f in made.files))
    documents = (s.spec for s in plan.steps if s.folder == step.folder)
    others = (spec.output for spec in documents if isinstance(spec, DocumentSpec))
    return (NAME, CARD, *(name for name in others if name is not None))
