"""One step of a plugin, run as core runs it: from JSON, in a worker process, watched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Receipt, UploadFile
from uploader_core.contract.context import ArrivalContext, PlanContext, ReleaseInfo
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import MakeSpec, StepSpec, UploadSpec
from uploader_core.errors import UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.step_request import make_request
from uploader_core.plugins.entry_points import call_light
from uploader_core.plugins.registry import Plugin
from uploader_core.user_config.configuration import Config
from uploader_core.workers.child import perform
from uploader_core.workers.messages import (
    Check,
    Request,
    RunStep,
    RunUpload,
    SectionRequest,
    Settings,
    StepRequest,
    StillThere,
)
from uploader_kit.asking import Estimating
from uploader_kit.conditions import PLAIN, Conditions, Death
from uploader_kit.meeting import Meeting
from uploader_kit.watched import Result, WatchedWorker

RELEASE = ReleaseInfo(
    name="tiny-model",
    source="adapter",
    base_model="acme/tiny-base",
    base_is_hub_id=True,
    command="uploader run ./final_model",
)
"""The release that every trial is about."""

PLACE = "Ünï cödé and spaces 模型"
"""Every trial works below a folder of this name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A step that can be run again and again.

    Attributes:
        plugin: Loaded plugin.
        spec: One of its specs.
        root: Private folder of this trial. ``release/<kind>`` below it is the step's output.
        inputs: Artifacts with digests.
        settings: Resolved settings, or None.
        target: Uploads: what stands behind the scheme.
        files: Uploads: what shall arrive.
        sections: Documents: sections that they include.
        environment: Variables of the worker besides those of this process.
        limit: Seconds after which the kit ends the worker.
        only: Which of the spec's variants; the first that the settings ask for when None.
    """

    plugin: Plugin
    spec: StepSpec
    root: Path
    inputs: tuple[Artifact, ...] = ()
    settings: Any = None
    target: str | None = None
    files: tuple[UploadFile, ...] = ()
    sections: tuple[SectionRequest, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limit: float = 300.0
    only: str | None = None

    @property
    def kind(self) -> str:
        """Kind of what the step makes, with the variant."""
        if not isinstance(self.spec, MakeSpec):
            return "document"
        return self.spec.produces + (f"-{self.variant}" if self.variant else "")

    @property
    def variant(self) -> str:
        """Which one is made; "" for a spec without variants."""
        if self.only is not None:
            return self.only
        return next(iter(self.variants), "")

    @property
    def variants(self) -> tuple[str, ...]:
        """All that the settings ask for."""
        if not isinstance(self.spec, MakeSpec) or self.spec.variants is None:
            return ()
        return tuple(call_light(self.spec.variants, self.plugin.entry.owner, self.settings))

    @property
    def output(self) -> Path:
        return self.root / "release" / self.kind

    @property
    def units(self) -> Path:
        """Folder of the records of single files."""
        return self.root / "units"

    def at(self, root: Path) -> Trial:
        """Return the same step in another folder."""
        return replace(self, root=root)

    def run(
        self,
        *,
        kill: float | None = None,
        conditions: Conditions = PLAIN,
        death: Death | None = None,
        meet: Meeting | None = None,
        until: threading.Event | None = None,
        cancel: bool = False,
    ) -> Result:
        """Run the step in a watched worker.

        Args:
            kill: SIGKILL the worker at its first event, or after this many seconds.
            conditions: What it sees of the machine.
            death: Where it dies by itself.
            meet: Stops it when it opens a file of the release.
            until: SIGKILL the worker when this is set.
            cancel: Stop the run at its first event, as the user does.
        """
        return self.send(
            self.request(), kill, conditions=conditions, death=death, meet=meet, until=until,
            cancel=cancel,
        )  # fmt: skip

    def put(self, question: Callable[..., Request[Any]], function: str, context: object) -> Result:
        """Ask one of the spec's functions in a worker, with its settings, as core does.

        Args:
            question: Class of the request.
            function: Field of the spec that names it.
            context: What it is given, but for settings and secrets.
        """
        step = self.request()
        run = str(getattr(self.spec, function))
        return self.send(
            question(**addressed(step), run=run, settings=step.settings, context=context)
        )

    def still_there(self, receipt: Mapping[str, Any]) -> Result:
        """Ask whether an upload is still there, in a worker, as core does before it keeps it.

        Args:
            receipt: What the upload returned, as JSON.
        """
        known = Receipt.from_json(receipt)
        context = ArrivalContext(target=self.target or "", receipt=known)
        return self.put(StillThere, "still_there", context)

    def check(self) -> Result:
        """Run the spec's preflight in a worker, as core does for uploads."""
        about = dict.fromkeys(dict.fromkeys(file.kind for file in self.files), 1)
        inputs = tuple(Artifact(kind=kind, path=self.root) for kind in about)
        result = self.ask("check", inputs=inputs, sizes=about)
        refused = [f for f in result.value or () if f.level == "error"]
        if refused:
            return replace(result, error=UploaderError(refused[0].what))
        return result

    def ask(self, function: str, **known: Any) -> Result:
        """Run the spec's ``check``, ``prove`` or ``estimate`` in a worker that may write nothing.

        Args:
            function: Which of them.
            known: Fields of the context that differ from what the trial is about.
        """
        step = self.request()
        context: dict[str, Any] = {
            "inputs": self.inputs,
            "release": RELEASE,
            "output": self.output,
            "variant": self.variant,
            "target": self.target,
            "sizes": {artifact.kind: artifact.size for artifact in self.inputs if artifact.files},
            "settings": None,
        }
        kind = Estimating if function == "estimate" else Check
        request = kind(
            **addressed(step),
            run=str(getattr(self.spec, function)),
            # Specs share a proof, so it is told no settings.
            settings=Settings() if function == "prove" else step.settings,
            context=PlanContext(**{**context, **known}),
        )
        return self.send(request, roots=() if function != "prove" else ("work",))

    def send(
        self,
        request: Request[Any],
        kill: float | None = None,
        *,
        conditions: Conditions = PLAIN,
        death: Death | None = None,
        meet: Meeting | None = None,
        until: threading.Event | None = None,
        cancel: bool = False,
        roots: Sequence[str] = ("",),
    ) -> Result:
        """Send a request about the step to a watched worker; see :meth:`run`.

        Args:
            request: What it shall do.
            roots: Folders below that of the trial in which it may write.
        """
        worker = WatchedWorker(
            root=self.root,
            output=self.output,
            environment=self.environment,
            limit=self.limit,
            conditions=conditions,
            death=death,
            meet=meet,
        )
        return worker.perform(request, kill=kill, until=until, cancel=cancel, roots=roots)

    def run_cancelled(self) -> Result:
        """Run an inline step in this process; it is told to stop at its first progress report."""
        (self.root / "work").mkdir(parents=True, exist_ok=True)
        try:
            value = perform(self.request(), lambda _: None, lambda: True)
        except UploaderError as error:
            return Result(value=None, error=error)
        return Result(value=value)

    def request(self) -> StepRequest[Any]:
        """Return what a worker is told to run the step."""
        scheme = self.spec.scheme if isinstance(self.spec, UploadSpec) else None
        step = PlannedStep(
            id=f"{self.plugin.id}:{self.spec.name}",
            plugin=self.plugin,
            spec=self.spec,
            inputs=(),
            kind=self.kind,
            variant=self.variant,
            sections=self.sections,
            target=self.target,
            destination=None if scheme is None else f"{scheme}:{self.target}",
            settings=self.settings,
            secrets=() if isinstance(self.spec, MakeSpec) else self.spec.secrets,
        )
        plan = Plan(
            sources=Sources(kind="adapter", folder=self.root, artifacts={}),
            release=RELEASE,
            output=self.root / "release",
            steps=(step,),
        )
        output, work = self.output, self.root / "work"
        if isinstance(self.spec, UploadSpec):
            state = self.root / "state"
            state.mkdir(parents=True, exist_ok=True)
            return make_request(
                RunUpload, plan, step, self.inputs, output=output, work=work, files=self.files,
                state=state,
            )  # fmt: skip
        return make_request(
            RunStep, plan, step, self.inputs, output=output, work=work, units=self.units,
            files=self.files,
        )  # fmt: skip


def resolve_settings(plugin: Plugin, spec: StepSpec, given: Mapping[str, object]) -> Any:
    """Return the settings of a spec, as if ``given`` stood on the command line."""
    return Config(options={plugin.id: given}).settings(plugin.id, spec.settings)


def addressed(step: StepRequest[Any]) -> dict[str, Any]:
    """Return what any request about a step says of whose it is and what it may see."""
    return {name: getattr(step, name) for name in ("step", "owner", "secrets", "network")}
