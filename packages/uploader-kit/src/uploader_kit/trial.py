"""One step of a plugin, run as core runs it: from JSON, in a worker process, watched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Receipt, UploadFile
from uploader_core.contract.context import ArrivalContext, PlanContext, ReleaseInfo
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import MakeSpec, StepSpec, UploadSpec
from uploader_core.errors import StepFailedError, UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.step_request import make_request
from uploader_core.plugins.entry_points import call_light
from uploader_core.plugins.registry import Plugin
from uploader_core.user_config.configuration import Config
from uploader_core.workers.child import perform
from uploader_core.workers.messages import (
    Check,
    Progress,
    Request,
    RunStep,
    RunUpload,
    SectionRequest,
    Settings,
    StepRequest,
    StillThere,
    Warned,
)
from uploader_core.workers.pool import Workers
from uploader_kit import guard
from uploader_kit.asking import Estimating
from uploader_kit.conditions import PLAIN, Conditions, Death
from uploader_kit.meeting import Meeting

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
class Result:
    """What became of a trial.

    Attributes:
        value: The worker's answer: an artifact, a receipt as JSON or findings; None after an error.
        error: What it raised instead.
        events: Progress and warnings, in order.
        violations: Writes outside the step's folders, network use, secrets told to programs: one
            line each, which begins as :mod:`uploader_kit.guard` says.
        log: What the step printed and logged.
        peak: Most bytes of private memory above an idle worker; None where the system has no
            count.
        trace: What its processes did, where that was listened to.
    """

    value: Any
    error: UploaderError | None = None
    events: tuple[Progress | Warned, ...] = ()
    violations: tuple[str, ...] = ()
    log: str = ""
    peak: int | None = None
    trace: Path | None = None

    @property
    def artifact(self) -> Artifact:
        """The artifact; the step's own error when there is none."""
        if self.error is not None:
            raise self.error
        artifact: Artifact = self.value
        return artifact


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
    limit: float = 120.0
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
        scratch, logs = self.root / "work", self.root / "logs"
        shutil.rmtree(scratch, ignore_errors=True)  # as core does between two attempts
        for folder in (scratch, logs, self.root / "caches"):
            folder.mkdir(parents=True, exist_ok=True)
        for file in logs.iterdir():
            file.unlink()
        rules: dict[str, Any] = {
            "log": str(logs / "violations.txt"),
            "trace": str(logs / "trace.txt"),
            "peak": str(logs / "peak.txt"),
            "roots": [str(self.root / name) for name in (*roots, "logs", "caches")],
            "network": request.network,
            "secrets": request.secrets,
            **conditions.rules,
            **(death.rules(self.output) if death is not None else {}),
            **(meet.rules if meet is not None else {}),
        }
        workers = Workers(self._environment(rules, conditions), logs, module=guard.__name__)
        late = threading.Timer(self.limit, workers.kill)
        timers = [late] if kill is None else [threading.Timer(kill, workers.kill)]
        events: list[Progress | Warned] = []

        def emit(message: Progress | Warned) -> None:
            events.append(message)
            if kill is not None:
                workers.kill()
            elif cancel and len(events) == 1:
                threading.Thread(target=workers.stop, daemon=True).start()

        value: Any = None
        error = None
        for timer in timers:
            timer.start()
        if until is not None:
            threading.Thread(
                target=_kill_at, args=(until, workers, self.limit), daemon=True
            ).start()
        try:
            with meet.running() if meet is not None else contextlib.nullcontext():
                value = workers.perform(request, emit)
        except UploaderError as caught:
            error = caught
            if kill is None and workers.stopped and not (cancel or (until and until.is_set())):
                error = _too_late(request, self.limit)
        finally:
            for timer in timers:
                timer.cancel()
        said = "".join(p.read_text("utf-8", "replace") for p in sorted(logs.glob("*.log")))
        noted, trace, peak = (logs / f"{n}.txt" for n in ("violations", "trace", "peak"))
        violations = noted.read_text("utf-8").splitlines() if noted.is_file() else []
        count = peak.read_text("ascii") if peak.is_file() else ""
        return Result(
            value=value,
            error=error,
            events=tuple(events),
            violations=tuple(dict.fromkeys(violations)),
            log=said,
            peak=int(count) if count else None,
            trace=trace if trace.is_file() else None,
        )

    def run_cancelled(self) -> Result:
        """Run an inline step in this process; it is told to stop at its first progress report."""
        (self.root / "work").mkdir(parents=True, exist_ok=True)
        try:
            value = perform(self.request(), lambda _: None, lambda: True)
        except UploaderError as error:
            return Result(value=None, error=error)
        return Result(value=value)

    def _environment(self, rules: Mapping[str, Any], conditions: Conditions) -> dict[str, str]:
        caches = str(self.root / "caches")
        return {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(self.root / "work")),
            **dict.fromkeys(("XDG_CACHE_HOME", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"), caches),
            **conditions.environment,
            **self.environment,
            guard.VARIABLE: json.dumps(rules),
        }

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


def _too_late(request: Request[Any], limit: float) -> StepFailedError:
    return StepFailedError(
        f"{request.run} was still running after {limit:g} s, and the kit ended it",
        owner=request.owner,
        next="if it needs that long on a tiny input, give the test class another `limit` or "
        "`check_limit`; if not, it hangs or loops",
    )


def resolve_settings(plugin: Plugin, spec: StepSpec, given: Mapping[str, object]) -> Any:
    """Return the settings of a spec, as if ``given`` stood on the command line."""
    return Config(options={plugin.id: given}).settings(plugin.id, spec.settings)


def _kill_at(event: threading.Event, workers: Workers, limit: float) -> None:
    """Kill workers when something has happened."""
    if event.wait(limit):
        workers.kill()


def addressed(step: StepRequest[Any]) -> dict[str, Any]:
    """Return what any request about a step says of whose it is and what it may see."""
    return {name: getattr(step, name) for name in ("step", "owner", "secrets", "network")}
