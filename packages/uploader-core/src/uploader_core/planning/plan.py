"""The plan: a graph of steps with their costs, as data."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.context import FetchedSource, ReleaseInfo
from uploader_core.contract.settings import to_json
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import (
    ConvertSpec,
    DocumentSpec,
    Estimate,
    Finding,
    SaveSpec,
    StepSpec,
    UploadSpec,
)
from uploader_core.errors import UploaderError
from uploader_core.plugins.registry import Plugin


class Settled(TypedDict):
    """The two arguments of a step, or of a section, that say its settings."""

    settings: Any
    settings_json: dict[str, Json]


def settled(settings: Any) -> Settled:
    """Return resolved settings with their JSON, which is made here and nowhere else."""
    return {"settings": settings, "settings_json": to_json(settings)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionRef:
    """A section that a document step renders for itself.

    Attributes:
        kind: Artifact kind that the text is about.
        settings_json: The settings as plain JSON.
    """

    plugin: Plugin
    spec: DocumentSpec
    settings: Any
    settings_json: dict[str, Json]
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSystem:
    """What a plan does to one file system.

    Attributes:
        path: An existing folder on it.
        kind: Its type (``ext4``), "" where it is unknown.
        uses: What goes there: ``release``, ``download``, ``copy``.
        free: Bytes that are free now.
        peak: Bytes more than now at the tightest moment.
        after: Bytes more than now when everything is done; less than 0 when room is gained.
    """

    path: Path
    kind: str = ""
    uses: tuple[str, ...] = ()
    free: int = 0
    peak: int = 0
    after: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """One node of the graph.

    Attributes:
        id: ``plugin:spec``, for documents and uploads with ``@subject`` behind it.
        plugin: Who runs it.
        spec: What it is.
        inputs: Ids of the steps, or ``source:<kind>``, that it consumes, in order.
        settings: Resolved settings or None.
        settings_json: The same as plain JSON, for records, keys and workers.
        kind: Kind that it produces; ``document`` or ``upload`` for those.
        folder: Output folder relative to the release, POSIX; None for virtual and upload steps.
        estimate: Cost, as the plugin says.
        seconds: Wall time that is expected; None when nothing is known.
        seconds_from: Where that is from, in words.
        measured: Whether earlier runs on this machine say so.
        needed_by: Plugin id that asked for it indirectly; None when the user did.
        sections: For documents.
        subjects: For documents: ids of the steps whose artifacts they are about.
        measurements: For documents: ids of the steps that measured those artifacts.
        target: For uploads, after grouping.
        destination: For uploads, as the user wrote it.
        flatten: For uploads.
        model_id: For uploads, and for documents that go with one: by what the model can be loaded
            from there.
        release_documents: For uploads: also take the documents of the release.
        findings: Of its check.
    """

    id: str
    plugin: Plugin
    spec: StepSpec
    inputs: tuple[str, ...]
    settings: Any = None
    settings_json: dict[str, Json] = field(default_factory=dict)
    kind: str
    folder: str | None = None
    estimate: Estimate = field(default_factory=Estimate)
    seconds: float | None = None
    seconds_from: str = ""
    measured: bool = False
    needed_by: str | None = None
    sections: tuple[SectionRef, ...] = ()
    subjects: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    target: str | None = None
    destination: str | None = None
    flatten: bool = False
    model_id: str = ""
    release_documents: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def is_virtual(self) -> bool:
        return isinstance(self.spec, ConvertSpec) and self.spec.virtual

    @property
    def uploads(self) -> bool:
        return isinstance(self.spec, UploadSpec)

    @property
    def measures(self) -> bool:
        return isinstance(self.spec, DocumentSpec) and self.spec.measures

    @property
    def tells(self) -> bool:
        """Whether it is a document that says what records say, and measures nothing."""
        return isinstance(self.spec, DocumentSpec) and not self.spec.measures

    @property
    def gpu_memory(self) -> int:
        """Bytes of GPU memory that must be free before it starts."""
        return max(self.estimate.gpu_memory, self.spec.resources.gpu_memory)

    @property
    def phase(self) -> int:
        """Tie-break between ready steps; it never defines an edge."""
        return {SaveSpec: 0, ConvertSpec: 1, DocumentSpec: 2, UploadSpec: 3}[type(self.spec)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a request comes to.

    Attributes:
        sources: What it starts from.
        release: What every step is told about the whole.
        output: The release folder.
        steps: In an order that respects the edges.
        virtual: Artifacts of the virtual steps, made while planning, by step id.
        destinations: As the user wrote them.
        warnings: About the request as a whole.
        downloads: What source plugins brought or would bring.
        space: File systems that get something, that of the release first; filled by the preflight.
    """

    sources: Sources
    release: ReleaseInfo
    output: Path
    steps: tuple[PlannedStep, ...]
    virtual: Mapping[str, Artifact] = field(default_factory=dict)
    destinations: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    downloads: tuple[FetchedSource, ...] = ()
    space: tuple[FileSystem, ...] = ()

    @property
    def artifacts(self) -> tuple[PlannedStep, ...]:
        """Steps whose files are part of the release."""
        return tuple(
            s
            for s in self.steps
            if isinstance(s.spec, (SaveSpec, ConvertSpec)) and not s.is_virtual
        )

    @property
    def uploads(self) -> tuple[PlannedStep, ...]:
        return tuple(s for s in self.steps if s.uploads)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.warnings, *(f for step in self.steps for f in step.findings))

    @property
    def bytes_written(self) -> int:
        return sum(step.estimate.bytes_written for step in self.steps)

    @property
    def peak_disk(self) -> int:
        """Bytes more than now on the release's file system, at the tightest moment."""
        return next((system.peak for system in self.space if "release" in system.uses), 0)

    @property
    def peak_memory(self) -> int:
        return max((step.estimate.peak_memory for step in self.steps), default=0)

    def step(self, step_id: str) -> PlannedStep:
        return next(step for step in self.steps if step.id == step_id)

    @property
    def source_folders(self) -> dict[str, Path]:
        """The folders of the sources, by kind."""
        return {kind: artifact.path for kind, artifact in self.sources.artifacts.items()}

    def loads_of(self, steps: Iterable[str], *, flatten: bool) -> tuple[str, ...]:
        """Return the patterns of names that programs load from what some steps made.

        Args:
            steps: Ids of steps.
            flatten: Names without the kind's folder, as at a destination of one kind.
        """
        wanted = {*steps}
        return tuple(
            dict.fromkeys(
                pattern if flatten else f"{step.folder}/{pattern}"
                for step in self.artifacts
                if step.id in wanted and isinstance(step.spec, (SaveSpec, ConvertSpec))
                for pattern in step.spec.loads
            )
        )

    def coming(
        self, step: PlannedStep, estimates: Mapping[str, Estimate]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what an upload will bring, and the patterns of what programs load of it.

        Args:
            step: The upload; of other steps there is nothing.
            estimates: By kind. A kind whose estimate names no files is left out of both.
        """
        if not isinstance(step.spec, UploadSpec):
            return (), ()
        told = [
            maker
            for maker in self.artifacts
            if maker.id in step.inputs and maker.kind in estimates and estimates[maker.kind].files
        ]
        files = tuple(
            name if step.flatten else f"{maker.folder}/{name}"
            for maker in told
            for name, _ in estimates[maker.kind].files
        )
        return files, self.loads_of((maker.id for maker in told), flatten=step.flatten)


def in_order(steps: Mapping[str, PlannedStep]) -> tuple[PlannedStep, ...]:
    """Sort steps by their edges, ties by phase and then by the order of the request.

    Raises:
        graphlib.CycleError: A plugin's kinds depend on each other in a circle.
    """
    rank = {step_id: (step.phase, n) for n, (step_id, step) in enumerate(steps.items())}
    sorter = graphlib.TopologicalSorter(
        {
            step.id: [i for i in step.inputs if not i.startswith("source:")]
            for step in steps.values()
        }
    )
    sorter.prepare()
    order: list[PlannedStep] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda step_id: rank[step_id])
        order.extend(steps[step_id] for step_id in ready)
        sorter.done(*ready)
    return tuple(order)


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """A plan with what is known before running it.

    Attributes:
        plan: With estimates and findings.
        kept: Steps that need not run.
        errors: What refuses the run; empty when it can start.
    """

    plan: Plan
    kept: frozenset[str]
    errors: tuple[UploaderError, ...] = field(default=())
