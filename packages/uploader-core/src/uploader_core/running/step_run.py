"""One step of a run: from its inputs to its record, and what becomes of its errors."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from uploader_core.artifact import Artifact, Json
from uploader_core.errors import CancelledError, IntegrityError, SpaceError, UploaderError
from uploader_core.machine import filesystems, gpu
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.preflight import open_virtual
from uploader_core.planning.step_request import make_request
from uploader_core.release.record import Record
from uploader_core.release.store import ReleaseStore
from uploader_core.running.events import EventStream
from uploader_core.running.manifest import describe, files_to_upload
from uploader_core.running.report import Outcome
from uploader_core.running.results import Results
from uploader_core.running.run_hooks import RunHooks
from uploader_core.untrusted_json import as_json
from uploader_core.workers import child
from uploader_core.workers.messages import Progress, RunStep, RunUpload, StepRequest, Warned
from uploader_core.workers.pool import Workers

R = TypeVar("R")


class StepRun:
    """Runs the steps of one plan, each when it is told to, several at a time.

    Args:
        plan: What runs.
        results: What is there already; every step adds its own.
        store: The release folder, opened.
        workers: The run's worker processes.
        hooks: Wrappers of steps, and observers.
        events: Where events go.

    Attributes:
        seconds: By step id, how long the steps took that found nothing finished before.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        results: Results,
        store: ReleaseStore,
        workers: Workers,
        hooks: RunHooks,
        events: EventStream,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._plan = plan
        self._results = results
        self._store = store
        self._workers = workers
        self._hooks = hooks
        self._events = events
        self._reading = threading.Lock()

    def start(self, step: PlannedStep) -> Outcome:
        """Run a step through the hooks and return how it ended.

        Raises:
            CancelledError: The run was stopped.
        """
        self._events.emit("step_started", step.id, kind=step.kind, summary=step.spec.summary)
        started = time.monotonic()
        try:
            result = self._hooks.execute(step, self)
            record = result if isinstance(result, Record) else None
            outcome = Outcome(step=step.id, status="done", record=record)
            self._events.emit("step_done", step.id, seconds=round(time.monotonic() - started, 3))
        except CancelledError:
            raise
        except Exception as error:
            full = self._explained(error, step)
            outcome = Outcome(step=step.id, status="failed", error=full)
            self._events.emit("step_failed", step.id, **full.to_json())
        self._hooks.observe("uploader_step_finished", step=step, outcome=outcome)
        return outcome

    def perform(self, step: PlannedStep) -> Record | None:
        """Run one step and commit its record; core's implementation of ``uploader_execute``."""
        inputs = self._results.inputs(step)
        if step.is_virtual:
            self._results.add_virtual(step, open_virtual(self._plan, step, inputs))
            return None
        key = self._results.key(step)
        folder = step.folder or ""
        # An upload compares what it sends; a document that measures nothing says what records say.
        if not step.uploads and not step.tells:
            self._read_inputs(step)
        self._store.claim(folder)
        whole = not self._store.finished(step.id, key, folder)
        if step.gpu_memory:
            gpu.wait_for(
                step.gpu_memory,
                lambda what: self._say(step, what),
                stopped=lambda: self._workers.stopped,
            )
        started = time.monotonic()
        work = self._store.work(step.id)
        try:
            artifact, receipt = self._ask(step, key, inputs, folder, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        record = Record(
            step=step.id,
            key=key,
            folder=folder,
            artifact=artifact,
            receipt=receipt,
            stats={} if artifact is None else self._store.stats_of(artifact),
            about=describe(step),
            seconds=time.monotonic() - started,
        )
        self._store.save(record)
        self._results.add(record)
        if whole:
            self.seconds[step.id] = record.seconds
        return record

    def _ask(
        self,
        step: PlannedStep,
        key: str,
        inputs: tuple[Artifact, ...],
        folder: str,
        work: Path,
    ) -> tuple[Artifact | None, Mapping[str, Json] | None]:
        """Let the plugin do the step's work and return what it made, or its receipt."""
        place = self._store.root / folder
        if step.uploads:
            files = tuple(files_to_upload(self._plan, step, self._results, self._store))
            upload = make_request(
                RunUpload, self._plan, step, inputs, output=place, work=work, files=files
            )
            return None, self._send(step, upload)
        units = self._store.units(step.id, key)
        making = make_request(
            RunStep, self._plan, step, inputs, output=place, work=work, units=units
        )
        return self._send(step, making), None

    def _send(self, step: PlannedStep, request: StepRequest[R]) -> R:
        def emit(message: Progress | Warned) -> None:
            data = as_json(message)
            if isinstance(message, Progress):
                self._events.emit("step_progress", step.id, **data)
            else:
                self._events.emit("warning", step.id, **data)

        if step.spec.isolation == "inline":
            return child.perform(request, emit, lambda: self._workers.stopped)
        return self._workers.perform(request, emit)

    def _read_inputs(self, step: PlannedStep) -> None:
        """Hash outputs of an earlier run: disk corruption does not change modification times.

        Raises:
            IntegrityError: A file is not what was recorded; it was set aside.
        """

        def tick(size: int) -> None:
            if self._workers.stopped:
                raise CancelledError("stopped", safe="every finished step is kept")
            self._say(step, f"reading {source} again", size, "bytes")

        unread = self._results.unread
        with self._reading:  # steps side by side may need the same
            for source in unread.intersection(step.inputs):
                record = self._results.records[source]
                if self._store.current(source, record.key, read=True, tick=tick) is None:
                    raise IntegrityError(
                        f"a file of {source} changed since it was recorded",
                        owner=f"the disk, or whoever wrote in {self._store.root / record.folder}",
                        safe=f"it was set aside in {self._store.quarantine}",
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
        return self._hooks.with_hints(full)

    def _with_needs(self, error: SpaceError, step: PlannedStep) -> SpaceError:
        """Say how much more the step needs, beside what is free now that its scratch is gone."""
        what = error.what
        needs = dict(step.estimate.elsewhere)
        if step.folder is not None and step.estimate.tightest:
            finished = self._store.finished(step.id, self._results.key(step), step.folder)
            needs[str(self._store.root)] = step.estimate.tightest - finished
        for folder, needed in needs.items():
            free = filesystems.free_bytes(Path(folder)) or 0
            what += f"; to finish it needs {needed:,} bytes, and {free:,} bytes are free now"
        return error.replace(what=what)

    def _say(self, step: PlannedStep, what: str, done: int = 0, unit: str = "steps") -> None:
        data: dict[str, Json] = {"what": what, "done": done, "total": None, "unit": unit}
        self._events.emit("step_progress", step.id, **data)
