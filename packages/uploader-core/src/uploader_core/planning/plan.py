"""The plan: a graph of steps with their costs, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.context import FetchedSource, ReleaseInfo
from uploader_core.contract.costs import Estimate
from uploader_core.contract.settings import to_json
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import (
    ConvertSpec,
    DocumentSpec,
    Finding,
    MakeSpec,
    StepSpec,
    UploadSpec,
)
from uploader_core.errors import UploaderError
from uploader_core.plugins.registry import Plugin
from uploader_core.workers.messages import SectionRequest


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
        kind: Kind that it produces, with its variant; ``document`` or ``upload`` for those.
        variant: Of a spec that has some.
        folder: Output folder relative to the release, POSIX; None for virtual and upload steps.
        estimate: Cost, as the plugin says.
        seconds: Wall time that is expected; None when nothing is known.
        seconds_from: Where that is from, in words.
        measured: Whether earlier runs on this machine say so.
        needed_by: Plugin id that asked for it indirectly; None when the user did.
        sections: For documents: what others add to them.
        subjects: For documents: ids of the steps whose artifacts they are about.
        measurements: For documents: ids of the steps that measured those artifacts.
        target: For uploads, after grouping, and for the documents of their places.
        destination: The same, as the user wrote it.
        flatten: The same.
        model_id: For uploads, and for documents that go with one: by what the model can be loaded
            from there.
        secrets: For uploads and documents: names of variables; ``NAME=OTHER`` where the value is
            in another one.
        secrets_digest: For documents: what tells one value of the secrets from another.
        findings: Of its check.
    """

    id: str
    plugin: Plugin
    spec: StepSpec
    inputs: tuple[str, ...]
    settings: Any = None
    kind: str
    variant: str = ""
    folder: str | None = None
    estimate: Estimate = field(default_factory=Estimate)
    seconds: float | None = None
    seconds_from: str = ""
    measured: bool = False
    needed_by: str | None = None
    sections: tuple[SectionRequest, ...] = ()
    subjects: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    target: str | None = None
    destination: str | None = None
    flatten: bool = False
    model_id: str = ""
    secrets: tuple[str, ...] = ()
    secrets_digest: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def settings_json(self) -> dict[str, Json]:
        """The settings as plain JSON, for records and manifests."""
        return to_json(self.settings)

    @property
    def is_virtual(self) -> bool:
        return isinstance(self.spec, ConvertSpec) and self.spec.virtual

    @property
    def is_artifact(self) -> bool:
        """Whether its files are a format of the release."""
        return isinstance(self.spec, MakeSpec) and not self.is_virtual

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names by which others mean what it makes."""
        made = isinstance(self.spec, MakeSpec) and self.spec.produces
        return tuple(dict.fromkeys((self.kind, made or self.kind)))

    @property
    def uploads(self) -> bool:
        return isinstance(self.spec, UploadSpec)

    def is_made_with(self, other: PlannedStep) -> bool:
        """Return whether one call of a plugin's function makes both."""
        return (
            isinstance(self.spec, MakeSpec)
            and self.spec.together
            and (self.plugin.id, self.spec.run, self.inputs)
            == (other.plugin.id, other.spec.run, other.inputs)
        )

    @property
    def loads(self) -> tuple[str, ...]:
        """Patterns of names that programs load from its folder."""
        return self.spec.loads if isinstance(self.spec, MakeSpec) else ()

    @property
    def measures(self) -> bool:
        return isinstance(self.spec, DocumentSpec) and self.spec.measures

    @property
    def tells(self) -> bool:
        """Whether it is a document that says what records say, and measures nothing."""
        return isinstance(self.spec, DocumentSpec) and not self.spec.measures

    @property
    def is_of_place(self) -> bool:
        """Whether it is a document about everything at one place."""
        return isinstance(self.spec, DocumentSpec) and self.spec.scope == "place"

    @property
    def lane(self) -> str:
        """What it waits for, as its estimate says of these settings, or else its spec."""
        return self.estimate.lane or self.spec.resources.lane

    @property
    def gpu_memory(self) -> int:
        """Bytes of GPU memory that must be free before it starts."""
        return max(self.estimate.gpu_memory, self.spec.resources.gpu_memory)


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
        redo: Ids of the steps that run again though they are done.
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
    redo: frozenset[str] = frozenset()
    space: tuple[FileSystem, ...] = ()

    @property
    def artifacts(self) -> tuple[PlannedStep, ...]:
        """Steps whose files are part of the release."""
        return tuple(s for s in self.steps if s.is_artifact)

    @property
    def uploads(self) -> tuple[PlannedStep, ...]:
        return tuple(s for s in self.steps if s.uploads)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.warnings, *(f for step in self.steps for f in step.findings))

    @property
    def needs_base(self) -> bool:
        """Whether a step consumes the base model, and not just its name and small files."""
        return any("source:base" in step.inputs for step in self.steps)

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
                name_prefix(step.folder, flatten=flatten) + pattern
                for step in self.artifacts
                if step.id in wanted
                for pattern in step.loads
            )
        )


def name_prefix(folder: str | None, *, flatten: bool) -> str:
    """Return what is before the names of a step's files in a manifest and at a destination.

    Args:
        folder: Of the step, relative to the release. A document of another place has a hidden one.
        flatten: Names without it, as at a destination of one kind.
    """
    return "" if flatten or (folder or ".").startswith(".") else f"{folder}/"


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
