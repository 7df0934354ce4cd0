"""What a run and its workers say to each other: one class for each operation, with its answer.

A message is a line of JSON on a pipe, the name of its class among its members. Both directions are
here, so that a field is written down once: :func:`to_line` and :func:`from_line` read the classes.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.contract import settings as contract_settings
from uploader_core.contract.context import (
    ArrivalContext,
    CleanUpContext,
    FetchedSource,
    PlanContext,
    SourceContext,
    VerifyContext,
)
from uploader_core.contract.specs import Finding
from uploader_core.contract.step_context import StepData
from uploader_core.destinations.verification import Verification
from uploader_core.errors import PluginError
from uploader_core.machine.time_limit import ASK, CLEAN_UP, STEP, Limit
from uploader_core.untrusted_json import as_json, member, parse_json, read_as

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of a step, so that another process can build them.

    Attributes:
        plugin: Id of the plugin whose settings they are.
        type: ``module:Class``, None for a step without settings.
        values: By field name.
    """

    plugin: str = ""
    type: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, plugin: str, settings: Any) -> Settings:
        """Describe the settings of a step.

        Args:
            plugin: Id of the plugin whose settings they are.
            settings: None for a step without.
        """
        if settings is None:
            return cls(plugin=plugin)
        name = f"{type(settings).__module__}:{type(settings).__qualname__}"
        return cls(plugin=plugin, type=name, values=contract_settings.to_json(settings))

    def build(self) -> Any:
        """Return the settings; their class is imported."""
        if self.type is None:
            return None
        module, _, name = self.type.partition(":")
        cls: type = getattr(importlib.import_module(module), name)
        return contract_settings.from_json(self.plugin, cls, self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionRequest:
    """A section of a document, to be rendered.

    Attributes:
        plugin: Id of the plugin whose it is.
        owner: Its distribution and version.
        heading: As its spec says.
        run: Dotted name of the function that renders it.
        kind: Artifact kind that it is about.
        settings: Of the section's spec.
    """

    plugin: str
    owner: str
    heading: str
    run: str
    kind: str
    settings: Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """Import what a step will need, before the step itself is known.

    Attributes:
        run: Dotted name.
        owner: Distribution and version of the plugin.
    """

    run: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Generic[R]):
    """Something that one worker shall do.

    Attributes:
        answer_type: Class variable: what is answered.
        step: What it is, for messages and the name of the log.
        owner: Distribution and version of the plugin.
        run: Dotted name of the plugin's function.
        secrets: Names of the variables that the worker may see.
        network: Whether the work needs one.
        limit: Class variable: how long it may take.
    """

    answer_type: ClassVar[Any]
    limit: ClassVar[Limit] = STEP

    step: str
    owner: str
    run: str
    secrets: tuple[str, ...] = ()
    network: bool = False

    def read(self, answer: object) -> R:
        """Return the JSON of an answer as what it stands for.

        Raises:
            PluginError: It is of another form.
        """
        try:
            result: R = read_as(self.answer_type, answer)
        except ValueError as error:
            raise PluginError(
                f"what {self.step} returned cannot be read: {error}",
                owner=self.owner,
                safe="nothing was recorded of it",
                next=f"pip install -U {self.owner.split(' ')[0]}, or tell its author",
            ) from error
        return result


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRequest(Request[R]):
    """Run a step.

    Attributes:
        context: What it is given, but for its settings, its folder, sections and secrets.
        settings: Of the step.
        output: Folder that the step writes.
        units: Folder of the records of single files; None where nothing is written.
        sections: To be rendered for a document.
        reserved: Names in that folder that other steps write.
        together: Whether the function takes several contexts at once.
        finished: Files of the folder that other workers of the step made as their pieces.
    """

    context: StepData
    settings: Settings
    output: Path
    units: Path | None = None
    sections: tuple[SectionRequest, ...] = ()
    reserved: tuple[str, ...] = ()
    together: bool = False
    finished: tuple[ArtifactFile, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStep(StepRequest[Artifact]):
    """Run a step that makes an artifact or a document."""

    answer_type: ClassVar[Any] = Artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTogether(Request[tuple[Artifact, ...]]):
    """Run steps that one call of a function makes; the answer has their artifacts in that order.

    Attributes:
        steps: With one function, of one plugin.
    """

    answer_type: ClassVar[Any] = tuple[Artifact, ...]

    steps: tuple[RunStep, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunUpload(StepRequest["dict[str, Any]"]):
    """Run a step that uploads; the answer is its receipt, as it is recorded."""

    answer_type: ClassVar[Any] = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check(Request[tuple[Finding, ...]]):
    """Look whether a step can run: a spec's ``check`` or ``prove``.

    Attributes:
        context: What it is given, but for the settings.
        settings: Of the step.
    """

    answer_type: ClassVar[Any] = tuple[Finding, ...]
    limit: ClassVar[Limit] = ASK

    context: PlanContext
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch(Request[FetchedSource]):
    """Bring a source.

    Attributes:
        context: What it is given, but for secrets, and whether it must stay offline.
    """

    answer_type: ClassVar[Any] = FetchedSource

    context: SourceContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify(Request[Verification]):
    """Compare what is at a destination with its manifest.

    Attributes:
        context: What it is given, but for settings and secrets.
        settings: Of the destination's plugin.
    """

    answer_type: ClassVar[Any] = Verification

    context: VerifyContext
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class StillThere(Request[bool]):
    """Ask whether what an upload brought is at its destination as it was.

    Attributes:
        context: What it is given, but for settings and secrets.
        settings: Of the upload.
    """

    answer_type: ClassVar[Any] = bool
    limit: ClassVar[Limit] = ASK

    context: ArrivalContext
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanUp(Request[bool]):
    """Let a destination clean up after an upload that was not finished; the answer is if it has.

    Attributes:
        context: What it is given, but for the settings and secrets.
        settings: Of the upload.
    """

    answer_type: ClassVar[Any] = bool
    limit: ClassVar[Limit] = CLEAN_UP

    context: CleanUpContext
    settings: Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """The user stopped the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a step is; see :meth:`StepContext.progress`."""

    what: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned:
    """Something went wrong that does not stop the step.

    Attributes:
        what: One sentence.
    """

    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The last message of a worker that succeeded.

    Attributes:
        result: JSON, for :meth:`Request.read`.
    """

    result: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The last message of a worker that did not.

    Attributes:
        error: As :func:`~uploader_core.errors.to_message` wrote it.
    """

    error: Mapping[str, Any]


_CLASSES: Mapping[str, Any] = {cls.__name__: cls for cls in (
    Import, RunStep, RunTogether, RunUpload, Check, Fetch, Verify, StillThere, CleanUp, Cancel,
    Progress, Warned, Answer, Failed,
)}  # fmt: skip


def to_line(message: object) -> str:
    """Return a message of this module as a line of JSON, in ASCII.

    A worker reads its standard input in whatever encoding the user's environment asks for.
    """
    return json.dumps({"message": type(message).__name__, **as_json(message)}) + "\n"


def from_line(line: str, more: Iterable[type] = ()) -> Any:
    """Return the message that a line holds.

    Args:
        line: As :func:`to_line` wrote it.
        more: Classes of requests that only this worker knows.

    Raises:
        ValueError: It holds none.
    """
    data = parse_json(line)
    name = member(data, "message", str)
    classes = {**_CLASSES, **{cls.__name__: cls for cls in more}}
    if name not in classes:
        raise ValueError(f"{name!r} is no message")
    return read_as(classes[name], data)
