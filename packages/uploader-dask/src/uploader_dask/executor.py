"""The executor ``dask``: a job is one task of a Dask cluster, known by its key."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dask
from distributed import Client, Future, fire_and_forget

from uploader_core.plugin import (
    ExecutorContext,
    Job,
    JobResources,
    JobStatus,
    TemporaryError,
    UsageError,
    read_tail,
)
from uploader_dask.capacity import Worker, ask, refusals, workers_of
from uploader_dask.settings import DaskSettings
from uploader_dask.task import PRINTED, run_command

_PATIENCE = 15.0
"""Seconds in which the scheduler has to answer."""

_CODE = "distributed.diagnostics.computations.nframes"
"""How many frames of the code that submits a task Dask sends along, for its dashboard."""


def open_executor(context: ExecutorContext) -> DaskExecutor:
    """Open the executor; see :class:`~uploader_core.plugin.ExecutorSpec`.

    Raises:
        UsageError: No scheduler is named.
        TemporaryError: It does not answer.
    """
    settings: DaskSettings = context.settings
    if not settings.scheduler:
        raise UsageError(
            "the executor dask needs a scheduler",
            owner="executor dask",
            safe="nothing was submitted",
            next="start `dask scheduler` on one machine and `dask worker tcp://HOST:8786` on "
            "others, and add --dask-scheduler tcp://HOST:8786",
        )
    return DaskExecutor(settings, context.jobs)


class _Id(NamedTuple):
    """What the id of a job says: the key of its task, and where it prints."""

    key: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.key} {self.folder}"

    @classmethod
    def of(cls, text: str) -> _Id:
        key, _, folder = text.partition(" ")
        return cls(key, Path(folder))


class DaskExecutor:
    """Submits jobs as tasks that outlive their client, and asks the scheduler how they are.

    Args:
        settings: Of the executor.
        jobs: What the user said with ``--jobs``.
    """

    def __init__(self, settings: DaskSettings, jobs: int | None = None) -> None:
        self.interval = settings.interval
        self._settings = settings
        self._known: Client | None = None
        self._futures: dict[str, Future[Any]] = {}
        self._ended: dict[str, JobStatus] = {}
        threads = sum(worker.threads for worker in self._workers())
        self.places = max(1, jobs or settings.places or threads)

    def check(self, resources: JobResources) -> Iterable[str]:
        """Refuse what no worker has."""
        return [*refusals(self._settings, resources, self._workers())]

    def submit(self, job: Job) -> str:
        """Hand a task to the scheduler; one of that key that is there is taken for it."""
        known = _Id(job.key, job.folder)
        self._ended.pop(job.key, None)
        asked = ask(self._settings, job.resources, self._workers())
        # A user's configuration of Dask may send the code of those who submit along.
        with self._asking() as client, dask.config.set({_CODE: 0}):
            future = client.submit(
                run_command,
                job.argv,
                {**job.environment},
                str(job.folder),
                job.key,
                job.resources.seconds,
                key=job.key,
                resources=asked or None,
                pure=False,
            )
            fire_and_forget(future)  # it goes on when this client is gone
        self._futures[job.key] = future
        return str(known)

    def find(self, job: Job) -> str | None:
        """Ask for the task of a key."""
        if self._status(job.key, self._states([job.key])).state in ("waiting", "running"):
            return str(_Id(job.key, job.folder))
        return None

    def poll(self, ids: Iterable[str]) -> Mapping[str, JobStatus]:
        """Ask the scheduler for all tasks at once."""
        keys = {id: _Id.of(id).key for id in ids}
        states = self._states(keys.values())
        return {id: self._status(key, states) for id, key in keys.items()}

    def cancel(self, ids: Iterable[str]) -> None:
        """Take tasks from the scheduler; a worker that runs one ends its command then."""
        keys = [_Id.of(id).key for id in ids]
        with self._asking() as client:
            there = [key for key, state in self._states(keys).items() if state is not None]
            client.cancel([Future(key, client=client) for key in there], force=True)
        for key in keys:
            self._futures.pop(key, None)
            self._ended[key] = JobStatus(state="cancelled")

    def logs(self, id: str, lines: int) -> str:
        """Read the end of what a job printed, in all its attempts."""
        return read_tail(_Id.of(id).folder / "executor" / PRINTED, lines)

    def close(self) -> None:
        """Leave the cluster; its tasks go on."""
        self._futures.clear()
        if self._known is not None:
            with contextlib.suppress(OSError, TimeoutError):
                self._known.close()
            self._known = None

    # -- inside ------------------------------------------------------------------------------

    def _status(self, key: str, states: Mapping[str, str | None]) -> JobStatus:
        """Say how a task is, of what the scheduler said and of what this client knows."""
        future = self._futures.get(key)
        if future is not None and future.done():
            self._ended[key] = self._outcome(future)
            del self._futures[key]  # the scheduler forgets it, so that it can be submitted again
        if key in self._ended:
            return self._ended[key]
        state = states[key]
        if state == "processing":
            return JobStatus(state="running")
        if state == "no-worker":
            return JobStatus(state="waiting", what="no worker is there that has what it needs")
        if state is None and future is None:
            return JobStatus(state="gone", what="the scheduler does not know it")
        return JobStatus(state="waiting")

    def _outcome(self, future: Future[Any]) -> JobStatus:
        """Say what became of a task that is done."""
        if future.status == "finished":
            with self._asking():
                code, what = future.result(timeout=_PATIENCE)
            return JobStatus(state="failed" if code else "ended", what=what)
        if future.status == "error":  # its workers died, or cannot import this package
            with self._asking():
                error = future.exception(timeout=_PATIENCE)
            return JobStatus(state="failed", what=_what_went_wrong(error))
        return JobStatus(state="gone", what=f"the scheduler says {future.status}")

    def _states(self, keys: Iterable[str]) -> Mapping[str, str | None]:
        found: Mapping[str, str | None] = self._ask("get_task_status", keys=[*keys])
        return found

    def _workers(self) -> tuple[Worker, ...]:
        return workers_of(self._ask("identity"))

    def _ask(self, question: str, **about: object) -> Any:
        """Return what the scheduler answers."""
        with self._asking() as client:
            ask = getattr(client.scheduler, question)
            return client.sync(ask, callback_timeout=_PATIENCE, **about)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Client]:
        """Give a client that is connected.

        Raises:
            TemporaryError: The scheduler does not answer.
        """
        try:
            yield self._client()
        except (OSError, TimeoutError) as error:
            raise TemporaryError(
                f"the scheduler {self._settings.scheduler} does not answer: "
                f"{error or type(error).__name__}",
                owner="executor dask",
                safe="tasks that were submitted go on where the scheduler lives",
                next="see whether `dask scheduler` runs there, then run the same command again",
            ) from error

    def _client(self) -> Client:
        if self._known is None or self._known.status not in ("running", "connecting"):
            self._futures.clear()
            with warnings.catch_warnings():
                # Versions of core and of plugins are compared by the job itself.
                warnings.simplefilter("ignore")
                self._known = _connected(self._settings.scheduler)
        return self._known


def _connected(scheduler: str) -> Client:
    """Return a client of a scheduler that is named by its address or by its file."""
    where: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler and Path(scheduler).is_file():
        where = {"scheduler_file": scheduler}
    return Client(**where, timeout=_PATIENCE, set_as_default=False, name="uploader")


def _what_went_wrong(error: BaseException) -> str:
    """Say why a task could not be run; what it ran says so itself."""
    if isinstance(error, ImportError) or "deserializ" in str(error):
        return (
            "the cluster cannot load what a job runs: pip install uploader-dask on the machines "
            f"of its scheduler and workers ({error})"
        )
    return str(error)
