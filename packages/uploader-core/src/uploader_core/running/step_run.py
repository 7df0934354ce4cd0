"""One step of a run: from its inputs to its record, and what becomes of its errors."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from uploader_core.advice.disk_space import with_needs
from uploader_core.artifact import Artifact, Json
from uploader_core.errors import CancelledError, IntegrityError, SpaceError, UploaderError
from uploader_core.jobs.pieces import Division
from uploader_core.machine import gpu
from uploader_core.manifest.build import describe, files_of_place, materials_of
from uploader_core.manifest_file import files_in
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.preflight import open_virtual
from uploader_core.planning.step_request import make_request
from uploader_core.release.record import Record, safe_name
from uploader_core.release.store import ReleaseStore
from uploader_core.running.events import EventStream
from uploader_core.running.folders import check_folder, left_alone
from uploader_core.running.report import Outcome
from uploader_core.running.results import Results
from uploader_core.running.run_hooks import RunHooks
from uploader_core.untrusted_json import as_json
from uploader_core.uploads.attempts import Attempts
from uploader_core.workers.child import Emit
from uploader_core.workers.messages import (
    Progress,
    Request,
    RunStep,
    RunTogether,
    RunUpload,
    Warned,
)
from uploader_core.workers.pool import Workers

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRun:
    """Runs the steps of one plan, each when it is told to, several at a time.

    Attributes:
        plan: What runs.
        results: What is there already; every step adds its own.
        store: The release folder, opened.
        workers: The run's worker processes.
        hooks: Wrappers of steps, and observers.
        events: Where events go.
        attempts: Of uploads, earlier ones among them.
        division: Splits what can be split.
        seconds: By step id, how long the steps took that found nothing finished before.
    """

    plan: Plan
    results: Results
    store: ReleaseStore
    workers: Workers
    hooks: RunHooks
    events: EventStream
    attempts: Attempts
    division: Division
    seconds: dict[str, float] = field(default_factory=dict)
    _passes: dict[str, concurrent.futures.Future[dict[str, Artifact]]] = field(default_factory=dict)
    _passes_guard: threading.Lock = field(default_factory=threading.Lock)
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def start(self, step: PlannedStep) -> Outcome:
        """Run a step through the hooks and return how it ended.

        Raises:
            CancelledError: The run was stopped.
        """
        self.events.emit("step_started", step.id, kind=step.kind, summary=step.spec.summary)
        started = time.monotonic()
        try:
            result = self.hooks.execute(step, self)
            record = result if isinstance(result, Record) else None
            outcome = Outcome(step=step.id, status="done", record=record)
            self.events.emit("step_done", step.id, seconds=round(time.monotonic() - started, 3))
        except CancelledError:
            raise
        except Exception as error:
            full = self._explained(error, step)
            outcome = Outcome(step=step.id, status="failed", error=full)
            self.events.emit("step_failed", step.id, **full.to_json())
        self.hooks.observe("uploader_step_finished", step=step, outcome=outcome)
        return outcome

    def perform(self, step: PlannedStep) -> Record | None:
        """Run one step and commit its record; core's implementation of ``uploader_execute``."""
        inputs = self.results.inputs(step)
        if step.is_virtual:
            self.results.add_virtual(step, open_virtual(self.plan, step, inputs))
            return None
        key = self.results.key(step)
        folder = step.folder or ""
        # An upload compares what it sends; a document that measures nothing says what records say.
        if not step.uploads and not step.tells:
            self._read_inputs(step)
        whole = not self.store.finished(step.id, key, folder)
        if step.gpu_memory and not self.workers.remote:
            gpu.wait_for(
                step.gpu_memory,
                lambda what: self._say(step, what),
                stopped=lambda: self.workers.stopped,
            )
        started = time.monotonic()
        work = self.store.work(step.id)
        try:
            with left_alone(step, inputs, self.plan.sources.artifacts.values()):
                artifact, receipt = self._ask(step, key, inputs, folder, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        record = Record(
            step=step.id,
            key=key,
            folder=folder,
            artifact=artifact,
            receipt=receipt,
            stats={} if artifact is None else self.store.stats_of(artifact),
            about=describe(step),
            seconds=time.monotonic() - started,
        )
        self.store.save(record)
        self.results.add(record)
        # A time of several tells nothing of one, nor do workers side by side or a queue.
        alone = not (self.workers.remote or self.division.splits(step.estimate.pieces))
        if whole and alone and not step.is_made_with(step):
            self.seconds[step.id] = record.seconds
        return record

    def _ask(
        self, step: PlannedStep, key: str, inputs: tuple[Artifact, ...], folder: str, work: Path
    ) -> tuple[Artifact | None, Mapping[str, Json] | None]:
        """Let the plugin do the step's work and return what it made, or its receipt."""
        place = self.store.root / folder
        files = files_of_place(self.plan, step, self.results.facts, self.store)
        if step.uploads:
            with self.attempts.attempt(step) as state:
                upload = make_request(
                    RunUpload, self.plan, step, inputs, output=place, work=work, files=files,
                    state=state,
                )  # fmt: skip
                return None, self._send(step, upload)
        if not step.is_artifact:
            self.store.claim(folder)
            units = self.store.units(step.id, key)
            making = make_request(
                RunStep, self.plan, step, inputs, output=place, work=work, units=units, files=files,
                materials=materials_of(self.plan, step, self.results.sources),
            )  # fmt: skip
            return self._split([step], making), None
        with self._passes_guard:
            others = [s for s in self.plan.steps if s.id == step.id or step.is_made_with(s)]
            todo = [s for s in others if s.id not in self.results.kept]
            mine = todo[0].id not in self._passes
            one = self._passes.setdefault(todo[0].id, concurrent.futures.Future())
        if mine:
            try:
                one.set_result(self._make(todo, inputs, work))
            except BaseException as error:
                one.set_exception(error)
        return one.result()[step.id], None

    def _make(
        self, steps: list[PlannedStep], inputs: tuple[Artifact, ...], work: Path
    ) -> dict[str, Artifact]:
        """Make the artifacts of a step, or of several that one call makes, by step id."""
        making, before = [], []
        for step in steps:
            folder, scratch = step.folder or "", work / safe_name(step.id)
            self.store.claim(folder)
            scratch.mkdir()
            place = self.store.root / folder
            units = self.store.units(step.id, self.results.key(step))
            before.append({*files_in(place)})
            making.append(make_request(RunStep, self.plan, step, inputs, output=place, work=scratch,
                                       units=units))  # fmt: skip
        if len(making) == 1:
            artifacts: tuple[Artifact, ...] = (self._split(steps, making[0]),)
        else:
            together = RunTogether(step=" and ".join(s.id for s in steps), owner=making[0].owner,
                                   run=making[0].run, steps=tuple(making))  # fmt: skip
            artifacts = self._split(steps, together)
        for step, artifact, there in zip(steps, artifacts, before, strict=True):
            check_folder(step, artifact, there)
        return {step.id: artifact for step, artifact in zip(steps, artifacts, strict=True)}

    def _split(self, steps: list[PlannedStep], request: RunStep | RunTogether) -> Any:
        """Let workers do what of the steps can be split, and one of them the rest."""
        pieces = [step.estimate.pieces for step in steps]
        return self.division.make(
            request, pieces, lambda part, emit: self._send(steps[0], part, emit),
            lambda message: self._tell(steps[0], message),
        )  # fmt: skip

    def _tell(self, step: PlannedStep, message: Progress | Warned) -> None:
        if isinstance(message, Progress):
            self.events.emit("step_progress", step.id, **as_json(message))
        else:
            self.events.emit("warning", step.id, **as_json(message))

    def _send(self, step: PlannedStep, request: Request[R], emit: Emit | None = None) -> R:
        tell = emit or (lambda message: self._tell(step, message))
        return self.workers.perform(request, tell, inline=step.spec.isolation == "inline")

    def _read_inputs(self, step: PlannedStep) -> None:
        """Hash outputs of an earlier run: disk corruption does not change modification times.

        Raises:
            IntegrityError: A file is not what was recorded; it was set aside.
        """

        def tick(size: int) -> None:
            if self.workers.stopped:
                raise CancelledError("stopped", safe="every finished step is kept")
            self._say(step, f"reading {source} again", size, "bytes")

        unread = self.results.unread
        with self._reading:  # steps side by side may need the same
            for source in unread.intersection(step.inputs):
                record = self.results.records[source]
                if self.store.current(source, record.key, read=True, tick=tick) is None:
                    raise IntegrityError(
                        f"a file of {source} changed since it was recorded",
                        owner=f"the disk, or whoever wrote in {self.store.root / record.folder}",
                        safe=f"it was set aside in {self.store.quarantine}",
                        next="run the same command again; the file will be made again",
                    )
                unread.discard(source)

    def _explained(self, error: Exception, step: PlannedStep) -> UploaderError:
        """Return the error of a step with everything that helps."""
        if not isinstance(error, UploaderError):
            what = f"{step.id}: {type(error).__name__}: {error}"
            return UploaderError(what, owner="uploader-core")
        if isinstance(error, IntegrityError):
            with contextlib.suppress(UploaderError):  # what it finds, the next run makes again
                self._read_inputs(step)
        full = self._with_needs(error, step) if isinstance(error, SpaceError) else error
        return self.hooks.with_hints(full)

    def _with_needs(self, error: SpaceError, step: PlannedStep) -> SpaceError:
        """Say how much more the step needs, beside what is free now that its scratch is gone."""
        finished = 0
        if step.folder is not None and step.estimate.tightest:
            finished = self.store.finished(step.id, self.results.key(step), step.folder)
        return with_needs(error, step, self.store.root, finished)

    def _say(self, step: PlannedStep, what: str, done: int = 0, unit: str = "steps") -> None:
        data: dict[str, Json] = {"what": what, "done": done, "total": None, "unit": unit}
        self.events.emit("step_progress", step.id, **data)
