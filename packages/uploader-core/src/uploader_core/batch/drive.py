"""Run a batch: a few runs side by side, each like any other, and none stopped by another."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from uploader_core import page
from uploader_core.artifact import Json
from uploader_core.batch.forked_workers import ForkedWorkers, ForkServers
from uploader_core.batch.outlook import Outlook, Prospect
from uploader_core.batch.shared_digests import SeenFiles, SharedDigests
from uploader_core.errors import CancelledError, PartialError, UploaderError
from uploader_core.jobs.crew import Crew
from uploader_core.means import Means
from uploader_core.plugins.registry import Registry
from uploader_core.remembering import VARIABLE
from uploader_core.running.events import Event, EventStream
from uploader_core.running.report import Report
from uploader_core.running.session import run
from uploader_core.user_config.configuration import Config

_TICK = 0.25
_MEMORY = "uploader-batch-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a run of a batch ended.

    Attributes:
        prospect: The run.
        status: ``done``, ``kept`` where nothing had to run, ``failed``, ``refused`` before it
            began, or ``stopped``.
        seconds: Wall time.
        report: Of the run, None where it did not come to one.
        error: What stands against it; None for done and kept.
    """

    prospect: Prospect
    status: str
    seconds: float = 0.0
    report: Report | None = None
    error: UploaderError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReport:
    """How a batch ended.

    Attributes:
        outlook: What was run.
        endings: In the order of the outlook.
        seconds: Wall time.
    """

    outlook: Outlook
    endings: tuple[Ending, ...]
    seconds: float

    def count(self, *statuses: str) -> int:
        """Return how many runs ended so."""
        return sum(ending.status in statuses for ending in self.endings)

    def error(self) -> UploaderError | None:
        """Return the error of the batch as a whole, None when every run is done and verified."""
        errors = [e for e in self.endings if e.error is not None]
        if not errors:
            return None
        first = errors[0].error
        assert first is not None
        if len(self.endings) == 1:
            return first
        shown = [f"{e.prospect.name}: {e.error.what}" for e in errors[:5] if e.error is not None]
        more = [f"and {len(errors) - 5} more"] if len(errors) > 5 else []
        return PartialError(
            f"{len(errors)} of {len(self.endings)} runs are not done: " + "; ".join(shown + more),
            owner=first.owner,
            safe=f"{self.count('done', 'kept')} runs are done and verified, and what others "
            "finished is kept",
            next=first.next or "run the same command again; what is done is not repeated",
        )


Listener = Callable[[Prospect, Event], None]


class Shared:
    """What the runs of a batch share; closed when it ends.

    Args:
        environment: Variables of the user.

    Attributes:
        environment: Variables of the runs.
        means: What the runs work with.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        _forget_killed()
        self._memory = tempfile.TemporaryDirectory(prefix=f"{_MEMORY}{os.getpid()}-")
        self.environment = {**environment, VARIABLE: self._memory.name}
        self._servers = ForkServers(self.environment)
        self.means = Means(
            workers=functools.partial(ForkedWorkers, servers=self._servers),
            digests=functools.partial(SharedDigests, seen=SeenFiles()),
        )

    def close(self) -> None:
        """End the processes that fork workers, and forget what they remembered."""
        self._servers.close()
        self._memory.cleanup()


def drive(
    outlook: Outlook,
    registry: Registry,
    means: Means,
    tell: Listener,
    *,
    tick: Callable[[], None] = lambda: None,
    crew: Callable[[Config], Crew] | None = None,
    checksum: bool = False,
    fail_fast: bool = False,
) -> BatchReport:
    """Run everything that can run.

    Args:
        outlook: The batch, planned.
        registry: Installed plugins.
        means: What the runs share.
        tell: Called with every event of a run, one at a time, and besides with ``batch_started``
            and ``batch_ended`` of each.
        tick: Called a few times a second, by the calling thread.
        crew: Opens the executor of a run whose steps are jobs.
        checksum: Read everything that is there already instead of believing sizes and times.
        fail_fast: Start no run after one that failed.

    Raises:
        CancelledError: The user stopped the batch; what is finished is kept.
    """
    started = time.monotonic()
    stop, no_more = threading.Event(), threading.Event()
    guard = threading.Lock()

    def say(prospect: Prospect, event: Event) -> None:
        with guard:
            tell(prospect, event)

    def one(prospect: Prospect) -> Ending:
        if stop.is_set() or no_more.is_set():
            why = CancelledError("not started", next="run the same command again")
            return Ending(prospect=prospect, status="stopped", error=why)
        say(prospect, Event(type="batch_started", time=time.time()))
        ending = _run(prospect, registry, means, say, stop, crew, checksum=checksum)
        if ending.error is not None and fail_fast:
            no_more.set()
        data: dict[str, Json] = {"status": ending.status, "seconds": round(ending.seconds, 3)}
        if ending.error is not None:
            data |= {**ending.error.to_json()}
        say(prospect, Event(type="batch_ended", time=time.time(), data=data))
        return ending

    futures: dict[int, concurrent.futures.Future[Ending]] = {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=outlook.at_once) as pool:
        try:
            for number, prospect in enumerate(outlook.prospects):
                if prospect.error is None:
                    futures[number] = pool.submit(one, prospect)
            while concurrent.futures.wait(futures.values(), _TICK).not_done:
                tick()
        except BaseException:
            stop.set()
            raise
    endings = tuple(
        futures[n].result()
        if n in futures
        else Ending(prospect=prospect, status="refused", error=prospect.error)
        for n, prospect in enumerate(outlook.prospects)
    )
    return BatchReport(outlook=outlook, endings=endings, seconds=time.monotonic() - started)


def _forget_killed() -> None:
    """Remove what batches remembered that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_MEMORY}*"):
        number = folder.name.removeprefix(_MEMORY).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)  # of others it cannot


class _Stoppable:
    """Passes the events of a run on, and stops it when the batch is stopped."""

    def __init__(self, prospect: Prospect, tell: Listener, stop: threading.Event) -> None:
        self._prospect, self._tell, self._stop = prospect, tell, stop

    def __call__(self, event: Event) -> None:
        self._tell(self._prospect, event)

    def tick(self) -> None:
        """Raise a CancelledError once the batch is stopped."""
        if self._stop.is_set():
            raise CancelledError("the batch was stopped", safe="every finished step is kept")


def _run(
    prospect: Prospect,
    registry: Registry,
    means: Means,
    tell: Listener,
    stop: threading.Event,
    crew: Callable[[Config], Crew] | None,
    *,
    checksum: bool,
) -> Ending:
    """Run one; whatever stands against it is its ending."""
    began = time.monotonic()
    listener = _Stoppable(prospect, tell, stop)
    report, error = None, None
    try:
        if crew is not None:
            means = replace(means, crew=crew(prospect.config))
        report = run(
            prospect.request,
            registry,
            prospect.config,
            EventStream(listener),
            checksum=checksum,
            confirm=lambda _: listener.tick(),
            observers=(page,),
            means=means,
        )
        error = report.error()
    except UploaderError as raised:
        error = raised
    except Exception as raised:
        error = UploaderError(f"{type(raised).__name__}: {raised}", owner="uploader-core")
    if error is None:
        assert report is not None
        ran = any(outcome.status == "done" for outcome in report.outcomes.values())
        status = "done" if ran else "kept"
    else:
        status = "stopped" if isinstance(error, CancelledError) else "failed"
    return Ending(
        prospect=prospect,
        status=status,
        seconds=time.monotonic() - began,
        report=report,
        error=error,
    )
