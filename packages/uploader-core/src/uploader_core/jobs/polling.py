"""One thread that talks to an executor for all steps that have a job there."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from uploader_core.errors import TemporaryError, UploaderError
from uploader_core.executor import Executor, JobStatus

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds for which an engine may be away, such as a controller that restarts."""


class Watched:
    """What is known of one job.

    Args:
        changed: Notified when more is known of any job.
        stay: Seconds after which :meth:`wait` returns what it knows.
    """

    def __init__(self, changed: threading.Condition, stay: float) -> None:
        self._changed = changed
        self._stay = stay
        self.status = JobStatus(state="waiting")
        self.error: UploaderError | None = None

    def wait(self) -> JobStatus:
        """Return how the job is, after a while or when more is known.

        Raises:
            UploaderError: The engine could not be asked.
        """
        with self._changed:
            self._changed.wait(self._stay)
            if self.error is not None:
                raise self.error
            return self.status


class Poller:
    """Calls the methods of an executor, one at a time, and asks it for all jobs at once.

    Args:
        executor: Opened.
        patience: Seconds for which what fails for a moment is tried again.
    """

    def __init__(self, executor: Executor, patience: float = PATIENCE) -> None:
        self._executor = executor
        self._patience = patience
        self._one = threading.RLock()
        self._changed = threading.Condition()
        self._jobs: dict[str, list[Watched]] = {}
        self._cancelled = False
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def call(self, ask: Callable[[Executor], T]) -> T:
        """Call the executor; where it is away for a moment, again.

        Raises:
            TemporaryError: It stayed away.
            UploaderError: As the executor did.
        """
        until, pause = time.monotonic() + self._patience, 0.5
        while True:
            try:
                with self._one:
                    return ask(self._executor)
            except TemporaryError:
                if time.monotonic() + pause > until or self._closed.wait(pause):
                    raise
                pause = min(30.0, 2 * pause)

    @contextlib.contextmanager
    def watched(self, job_id: str) -> Iterator[Watched]:
        """Ask for a job regularly while the body runs."""
        watched = Watched(self._changed, max(0.05, self._executor.interval))
        with self._changed:
            self._jobs.setdefault(job_id, []).append(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask, name="executor", daemon=True)
                self._thread.start()
            cancelled = self._cancelled
        if cancelled:  # it was submitted while the others were ended
            self._cancel([job_id])
        try:
            yield watched
        finally:
            with self._changed:
                self._jobs[job_id].remove(watched)
                if not self._jobs[job_id]:
                    del self._jobs[job_id]

    def cancel(self) -> None:
        """End all jobs that are or will be waited for; where the engine is away, what can be."""
        with self._changed:
            self._cancelled = True
            ids = [*self._jobs]
        if ids:
            self._cancel(ids)

    def close(self) -> None:
        """Ask no more, and close the executor."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._executor.close()

    def _cancel(self, ids: Iterable[str]) -> None:
        with contextlib.suppress(UploaderError), self._one:
            self._executor.cancel(ids)

    def _ask(self) -> None:
        failing: float | None = None
        while not self._closed.wait(self._executor.interval):
            with self._changed:
                ids = [*self._jobs]
            if not ids:
                continue
            error: UploaderError | None = None
            try:
                with self._one:
                    found = self._executor.poll(ids)
                failing = None
            except TemporaryError as away:
                failing = failing or time.monotonic()
                if time.monotonic() - failing < self._patience:
                    continue
                found, error = {}, away
            except UploaderError as wrong:
                found, error = {}, wrong
            with self._changed:
                for job_id in ids:
                    for watched in self._jobs.get(job_id, ()):
                        watched.status = found.get(job_id, watched.status)
                        watched.error = error
                self._changed.notify_all()
