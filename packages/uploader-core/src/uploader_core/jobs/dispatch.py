"""Workers whose steps run as jobs of an executor."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from uploader_core.artifact import Json
from uploader_core.errors import (
    CancelledError,
    RefusedError,
    StepFailedError,
    TemporaryError,
    UploaderError,
)
from uploader_core.executor import OPEN, Executor, Job, JobResources, JobStatus
from uploader_core.jobs.job_folder import (
    FOLDER,
    JobFolder,
    JobRequest,
    Submitted,
    group_of,
    steps_of,
    withdraw,
)
from uploader_core.jobs.needs import is_job, needs_together
from uploader_core.jobs.polling import Poller
from uploader_core.machine.filesystems import find_mount
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.planning.plan import PlannedStep
from uploader_core.workers import messages
from uploader_core.workers.child import Emit
from uploader_core.workers.environment import child_environment
from uploader_core.workers.messages import RunStep, RunTogether
from uploader_core.workers.pool import Workers

R = TypeVar("R")

ATTEMPTS = 4
"""How often a job is submitted whose machine is lost, is too slow or too small."""

TAIL = 20
"""Lines of what a job printed that the events of a run hold."""

_LATE = 65.0
"""Seconds for which a client of NFS may not see a file that another machine made."""


class Emits(Protocol):
    """The event stream of a run."""

    def emit(self, type: str, step: str = "", **data: Json) -> None: ...


class JobWorkers(Workers):
    """The workers of a run that has an executor: steps that make files run as its jobs.

    What sees a secret, needs the network or is light runs in this machine's own workers.

    Args:
        name: Of the executor.
        executor: Opened; it is closed with the workers.
        internal: The ``.uploader`` folder of the release.
        environment: Variables of the run.
        steps: Of the plan, with estimates.
        events: Of the run; told what becomes of jobs.
        remote: Whether jobs may run on other machines.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        internal: Path,
        environment: Mapping[str, str],
        steps: Iterable[PlannedStep],
        events: Emits,
        *,
        remote: bool,
    ) -> None:
        super().__init__(environment, internal / "logs")
        self.remote = remote
        self._name = name
        self._internal = internal
        self._steps = {step.id: step for step in steps if is_job(step)}
        self._events = events
        self._clean = child_environment(environment, (), network=False)
        self._poller = Poller(executor)
        self._mine: set[Path] = set()
        self._through: dict[Path, JobFolder] = {}
        self._alone: set[str] = set()
        self._guard_jobs = threading.Lock()

    def warm(self, run: str, owner: str) -> None:
        """Start nothing here for a step that runs elsewhere."""

    def stop(self) -> None:
        """Cancel every job as well."""
        self.stopped = True
        self._poller.cancel()
        super().stop()

    def close(self) -> None:
        """Let go of the executor as well, and of the jobs whose results were taken."""
        super().close()
        for folder in self._through.values():
            folder.forget()
        # A run that was refused, or not confirmed, does not know what it would have wanted.
        for path in (self._internal / FOLDER).glob("*") if self._mine else ():
            if path not in self._mine:  # of an earlier run, for what this one did not want
                with contextlib.suppress(UploaderError):
                    self._withdraw(JobFolder(path))
        self._poller.close()
        with contextlib.suppress(OSError):
            (self._internal / FOLDER).rmdir()

    def perform(
        self, request: messages.Request[R], emit: Emit = lambda _: None, *, inline: bool = False
    ) -> R:
        """Run a request, as a job where it makes files.

        Raises:
            UploaderError: As the job did.
            StepFailedError: Its machines were lost again and again.
            RefusedError: No machine has what it needs.
            CancelledError: The run was stopped.
        """
        is_step = isinstance(request, (RunStep, RunTogether))
        here = inline or not is_step or request.secrets or request.network
        if here or not all(s.step in self._steps for s in steps_of(cast("Any", request))):
            return super().perform(request, emit, inline=inline)
        folder, job_request = JobFolder.of(self._internal, cast("Any", request))
        with self._guard_jobs:
            self._mine.add(folder.path)
            self._withdraw_others(job_request)
        try:
            result = self._result(folder, job_request, emit)
        except CancelledError:
            raise
        except UploaderError:
            self._through[folder.path] = folder
            raise
        except OSError as error:
            raise _unreachable(error, folder.path) from error
        finally:
            self._keep_log(folder, request.step)
        self._through[folder.path] = folder
        return cast("R", result)

    def _result(self, folder: JobFolder, request: JobRequest, emit: Emit) -> object:
        if folder.keep_if_sound():
            return folder.answer(request)
        folder.begin(request)
        needs, said = self._needs(request), ""
        for attempt in range(ATTEMPTS):
            if self.stopped:
                raise CancelledError("the run was stopped")
            if needs.seconds is not None and attempt:
                needs = replace(needs, seconds=2 * needs.seconds)
            job = self._job(folder, request, needs)
            job_id = self._submitted(folder, job)
            status, log = self._wait(job_id, folder, request.step, emit)
            folder.note_submitted(None)
            answer = self._answer(folder, request)
            if answer is not None:
                return answer
            if self.stopped:
                raise CancelledError("the run was stopped")
            said = " | ".join(
                filter(None, [f"job {job_id}: {status.state}", status.what, *log[-3:]])
            )
            emit(messages.Warned(what=f"{request.step} is submitted again; {said}"))
        seen = folder.lock.exists()
        raise StepFailedError(
            f"{request.step} ended {ATTEMPTS} times without a result; {said}",
            owner=f"executor {self._name}",
            safe="finished files are kept, and gone on with",
            next="run the same command again"
            if seen
            else f"see whether machines of {self._name} have {sys.executable} and {folder.path}",
        )

    def _needs(self, request: JobRequest) -> JobResources:
        """Return what a request needs, and refuse what no machine has."""
        needs = needs_together(self._steps, request)
        reasons = self._poller.call(lambda executor: [*executor.check(needs)])
        if reasons:
            raise RefusedError(
                f"{request.step}: {'; '.join(reasons)}",
                owner=f"executor {self._name}",
                safe="nothing was submitted",
                next="change what the executor is told, or run without --executor",
            )
        return needs

    def _job(self, folder: JobFolder, request: JobRequest, needs: JobResources) -> Job:
        first = steps_of(request)[0].context
        pieces = f" {first.pieces[0]}" if first.pieces else ""
        return Job(
            key=folder.key,
            name=f"{first.release.name} {request.step}{pieces}",
            folder=folder.path,
            argv=(sys.executable, "-m", "uploader_core", "step", "exec", str(folder.path)),
            environment=self._clean,
            resources=needs,
        )

    def _tail(self, job_id: str) -> list[str]:
        """Return the last lines that a job printed."""
        return self._poller.call(lambda executor: executor.logs(job_id, TAIL)).strip().splitlines()

    def _submitted(self, folder: JobFolder, job: Job) -> str:
        """Return the id of a job, which is submitted unless an earlier run did that."""
        known = folder.submitted()
        if known is not None and known.executor == self._name:
            found = known.id or self._poller.call(lambda e: e.find(job) or "")
            if found:
                folder.note_submitted(Submitted(executor=self._name, id=found))
                return found
        folder.note_submitted(Submitted(executor=self._name, id=""))
        job_id = self._poller.call(lambda e: e.submit(job))
        folder.note_submitted(Submitted(executor=self._name, id=job_id))
        return job_id

    def _wait(
        self, job_id: str, folder: JobFolder, step: str, emit: Emit
    ) -> tuple[JobStatus, list[str]]:
        """Wait until nothing more comes of a job, and pass on what it and the engine say.

        Returns:
            How it ended, and the last lines that it printed.
        """
        log: list[str] = []
        last: JobStatus | None = None
        with self._poller.watched(job_id) as watched:
            while True:
                status = watched.wait()
                for message in folder.news():
                    emit(message)
                if self.stopped:
                    return JobStatus(state="cancelled"), log
                if status != last:
                    log = [] if status.state in OPEN else self._tail(job_id)
                    self._events.emit(
                        "step_job", step, job=job_id, state=status.state, what=status.what,
                        log=[*log],
                    )  # fmt: skip
                    last = status
                if status.state == "waiting":
                    what = f"waiting: {status.what or 'in the queue'}"
                    emit(messages.Progress(what=what, done=0, total=None, unit="steps"))
                elif status.state not in OPEN:
                    return status, log

    def _answer(self, folder: JobFolder, request: JobRequest) -> object:
        """Return what came of a job that ended; where machines differ it may be seen late."""
        until = time.monotonic()
        if not folder.is_answered() and self.remote and folder.lock.exists():
            mount = find_mount(folder.path)
            until += _LATE if mount is None or mount.speed == "network" else 0.0
        while not folder.is_answered() and not self.stopped and time.monotonic() < until:
            time.sleep(1.0)
        return folder.answer(request)

    def _withdraw_others(self, request: JobRequest) -> None:
        """End jobs of an earlier run that did a step of these with other inputs or settings."""
        if group_of(request) in self._alone:
            return
        self._alone.add(group_of(request))
        units = {step.step: step.units for step in steps_of(request)}
        for path in (self._internal / FOLDER).glob("*"):
            other = JobFolder(path)
            with contextlib.suppress(OSError, ValueError):
                theirs = () if path in self._mine else steps_of(other.request())
                if any(units.get(step.step, step.units) != step.units for step in theirs):
                    self._withdraw(other)

    def _withdraw(self, folder: JobFolder) -> None:
        """End a job that nobody wants any more."""
        known = folder.submitted()
        if known is not None and known.id and known.executor == self._name:
            self._poller.call(lambda executor: executor.cancel([known.id]))
        _patiently(lambda: withdraw(folder))

    def _keep_log(self, folder: JobFolder, step: str) -> None:
        """Leave what a job printed where what workers print is found."""
        for log in folder.path.glob("*.log"):
            with contextlib.suppress(OSError):
                self._log_file(step)  # makes the folder
                shutil.copyfile(log, self._internal / "logs" / log.name)


def _unreachable(error: OSError, path: Path) -> UploaderError:
    """Say that the folder of a job cannot be read or written from here."""
    said = translate_os_error(error, path)
    if type(said) is not UploaderError:
        return said
    return TemporaryError(
        f"the folder of a job cannot be reached: {error}",
        owner=f"the file system of {path}",
        safe="every finished file is kept; no half-written file has a final name",
        next="mount it again, then run the same command again",
    )


def _patiently(act: Callable[[], None], seconds: float = 60.0) -> None:
    """Do something that a job stands in the way of which is being ended."""
    until = time.monotonic() + seconds
    while True:
        late = time.monotonic() > until  # before it is tried: this process may have stood still
        try:
            return act()
        except TemporaryError:
            if late:
                raise
            time.sleep(0.5)
