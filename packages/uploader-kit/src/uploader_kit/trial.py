"""One step of a plugin, run as core runs it: from JSON, in a worker process, watched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, ArtifactFile, Receipt, UploadFile
from uploader_core.contract.context import ArrivalContext, PlanContext, ReleaseInfo
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import StepSpec, UploadSpec
from uploader_core.disk.safe_write import hash_file
from uploader_core.errors import UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.step_request import make_request
from uploader_core.plugins.configuration import Config
from uploader_core.plugins.registry import Plugin
from uploader_core.workers.child import perform
from uploader_core.workers.messages import (
    Check,
    Progress,
    Request,
    RunStep,
    RunUpload,
    SectionRequest,
    StepRequest,
    StillThere,
    Warned,
)
from uploader_core.workers.pool import Workers
from uploader_kit import guard

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
        violations: Writes outside the step's folders and network use, one line each.
        log: What the step printed and logged.
    """

    value: Any
    error: UploaderError | None = None
    events: tuple[Progress | Warned, ...] = ()
    violations: tuple[str, ...] = ()
    log: str = ""

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

    @property
    def kind(self) -> str:
        return str(getattr(self.spec, "produces", None) or "document")

    @property
    def output(self) -> Path:
        return self.root / "release" / self.kind

    def at(self, root: Path) -> Trial:
        """Return the same step in another folder."""
        return replace(self, root=root)

    def run(self, *, kill: float | None = None) -> Result:
        """Run the step in a watched worker.

        Args:
            kill: SIGKILL the worker at its first event, or after this many seconds.
        """
        return self._send(self._request(), kill)

    def still_there(self, receipt: Mapping[str, Any]) -> Result:
        """Ask whether an upload is still there, in a worker, as core does before it keeps it.

        Args:
            receipt: What the upload returned, as JSON.
        """
        request = StillThere(
            **_addressed(self._request()),
            run=str(getattr(self.spec, "still_there", None)),
            context=ArrivalContext(target=self.target or "", receipt=Receipt.from_json(receipt)),
        )
        return self._send(request, None)

    def check(self) -> Result:
        """Run the spec's preflight in a worker, as core does for uploads."""
        about = dict.fromkeys(dict.fromkeys(file.kind for file in self.files), 1)
        step = self._request()
        request = Check(
            **_addressed(step),
            run=str(self.spec.check),
            settings=step.settings,
            context=PlanContext(
                inputs=tuple(Artifact(kind=kind, path=self.root) for kind in about),
                settings=None,
                release=RELEASE,
                output=self.output,
                target=self.target,
                sizes=about,
            ),
        )
        result = self._send(request, None)
        refused = [f for f in result.value or () if f.level == "error"]
        if refused:
            return replace(result, error=UploaderError(refused[0].what))
        return result

    def _send(self, request: Request[Any], kill: float | None) -> Result:
        scratch, logs = self.root / "work", self.root / "logs"
        shutil.rmtree(scratch, ignore_errors=True)  # as core does between two attempts
        for folder in (scratch, logs, self.root / "caches"):
            folder.mkdir(parents=True, exist_ok=True)
        watch = logs / "violations.txt"
        watch.unlink(missing_ok=True)
        workers = Workers(self._environment(watch), logs, module=guard.__name__)
        timer = threading.Timer(kill or 0, workers.kill)
        if kill is not None:
            timer.start()
        events: list[Progress | Warned] = []

        def emit(message: Progress | Warned) -> None:
            events.append(message)
            if kill is not None:
                workers.kill()

        value: Any = None
        error = None
        try:
            value = workers.perform(request, emit)
        except UploaderError as caught:
            error = caught
        finally:
            timer.cancel()
        said = "".join(p.read_text("utf-8", "replace") for p in sorted(logs.glob("*.log")))
        violations = watch.read_text("utf-8").splitlines() if watch.is_file() else []
        return Result(
            value=value,
            error=error,
            events=tuple(events),
            violations=tuple(dict.fromkeys(violations)),
            log=said,
        )

    def run_cancelled(self) -> Result:
        """Run an inline step in this process; it is told to stop at its first progress report."""
        (self.root / "work").mkdir(parents=True, exist_ok=True)
        try:
            value = perform(self._request(), lambda _: None, lambda: True)
        except UploaderError as error:
            return Result(value=None, error=error)
        return Result(value=value)

    def _environment(self, watch: Path) -> dict[str, str]:
        caches = str(self.root / "caches")
        rules = {
            "log": str(watch),
            "roots": [str(self.root)],
            "network": isinstance(self.spec, UploadSpec),
        }
        return {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(self.root / "work")),
            **dict.fromkeys(("XDG_CACHE_HOME", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"), caches),
            **self.environment,
            guard.VARIABLE: json.dumps(rules),
        }

    def _request(self) -> StepRequest[Any]:
        scheme = self.spec.scheme if isinstance(self.spec, UploadSpec) else None
        step = PlannedStep(
            id=f"{self.plugin.id}:{self.spec.name}",
            plugin=self.plugin,
            spec=self.spec,
            inputs=(),
            kind=self.kind,
            sections=self.sections,
            target=self.target,
            destination=None if scheme is None else f"{scheme}:{self.target}",
            settings=self.settings,
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
        units = self.root / "units"
        return make_request(RunStep, plan, step, self.inputs, output=output, work=work, units=units)


def resolve_settings(plugin: Plugin, spec: StepSpec, given: Mapping[str, object]) -> Any:
    """Return the settings of a spec, as if ``given`` stood on the command line."""
    return Config(options={plugin.id: given}).settings(plugin.id, spec.settings)


def with_digests(artifact: Artifact) -> Artifact:
    """Return a source artifact with the digests of its files."""
    files = []
    for file in artifact.files:
        size, digest = hash_file(artifact.path / file.name)
        files.append(replace(file, size=size, sha256=digest))
    return replace(artifact, files=tuple(files))


def files_below(folder: Path) -> dict[str, ArtifactFile]:
    """Return every file below a folder by POSIX name, with size and digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            size, digest = hash_file(path)
            found[name] = ArtifactFile(name=name, size=size, sha256=digest)
    return found


@contextlib.contextmanager
def unchanged(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Compare folders before and after; the list is filled with what changed."""
    before = {folder: files_below(folder) for folder in folders}
    changed: list[str] = []
    yield changed
    for folder, files in before.items():
        now = files_below(folder)
        changed += [
            str(folder / n) for n in files.keys() | now.keys() if files.get(n) != now.get(n)
        ]


def _addressed(step: StepRequest[Any]) -> dict[str, Any]:
    """Return what any request about a step says of whose it is and what it may see."""
    return {name: getattr(step, name) for name in ("step", "owner", "secrets", "network")}
