"""The executor ``submitit-local``: as on Slurm, with submitit in the place of the cluster."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from uploader_core.plugin import (
    ExecutorContext,
    Job,
    JobResources,
    JobStatus,
    PluginError,
    RefusedError,
    end_tree,
    process_since,
    read_tail,
)
from uploader_slurm.refusals import no_folder

_FOR_EVER = 60.0 * 60 * 24 * 365
_CONTROLLER = ("-m", "submitit.local._local")


def open_executor(context: ExecutorContext) -> LocalExecutor:
    """Open the executor; see :class:`~uploader_core.plugin.ExecutorSpec`.

    Raises:
        RefusedError: submitit does not run here.
    """
    if os.name == "nt":
        raise RefusedError(
            "submitit needs signals that Windows does not have",
            owner="executor submitit-local",
            safe="nothing was started",
            next="take --executor local",
        )
    return LocalExecutor(context.jobs or 1)


class _Id(NamedTuple):
    """What the id of a job says: where its controller runs, since when, and its folder."""

    host: str
    pid: int
    born: float
    folder: Path

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.born:.2f} {self.folder}"

    @classmethod
    def of(cls, text: str) -> _Id:
        host, pid, born, folder = text.split(" ", 3)
        return cls(host, int(pid), float(born), Path(folder))


class LocalExecutor:
    """Starts submitit's controllers and looks after them.

    Args:
        places: Jobs side by side.
    """

    interval = 0.25

    def __init__(self, places: int) -> None:
        self.places = places

    def check(self, resources: JobResources) -> Iterable[str]:
        """Refuse what this machine does not have."""
        cpus, memory = os.cpu_count() or 1, psutil.virtual_memory().total
        if resources.cpus > cpus:
            yield f"it needs {resources.cpus} processors, and this machine has {cpus}"
        if resources.memory > memory:
            asked, there = resources.memory / 1e9, memory / 1e9
            yield f"it needs {asked:.1f} GB of memory, and this machine has {there:.1f} GB"

    def submit(self, job: Job) -> str:
        """Start a controller in a session of its own.

        Raises:
            PluginError: submitit did not start it.
            RefusedError: The job's folder cannot be written.
        """
        folder = job.folder / "executor"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise no_folder(job, error, "submitit-local") from error
        seconds = job.resources.seconds
        seconds = _FOR_EVER if seconds is None else max(1.0, seconds)
        launch = [
            sys.executable, "-m", "uploader_slurm.local.launch",
            str(folder), str(seconds), str(job.resources.gpus),
        ]  # fmt: skip
        with (folder / "submitit.log").open("ab") as log:
            done = subprocess.run(
                [*launch, *job.argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**job.environment},
                start_new_session=True,
                text=True,
            )
        try:
            pid = int(done.stdout)
        except ValueError as error:
            said = (folder / "submitit.log").read_text("utf-8", "replace")[-500:]
            raise PluginError(
                f"{job.name}: submitit started nothing: {said}",
                owner="executor submitit-local",
                safe="nothing runs",
                next=f"see {folder / 'submitit.log'}",
            ) from error
        born = time.time()  # of one that is through already
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time()
        return str(_Id(socket.gethostname(), pid, born, folder))

    def find(self, job: Job) -> str | None:
        """Look for a controller of this folder."""
        folder = job.folder / "executor"
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (*process.cmdline()[-3:],) == (*_CONTROLLER, str(folder)):
                    born = process.create_time()
                    return str(_Id(socket.gethostname(), process.pid, born, folder))
        return None

    def poll(self, ids: Iterable[str]) -> Mapping[str, JobStatus]:
        """Look at the controllers, and at what became of those that ended."""
        return {id: _look(_Id.of(id)) for id in ids}

    def cancel(self, ids: Iterable[str]) -> None:
        """End controllers with all that they started."""
        for job in map(_Id.of, ids):
            process = _controller(job)
            if process is not None:
                end_tree(process)
                # What a controller that was killed cannot write any more.
                _record(job).write_text("cancelled", "ascii")

    def logs(self, id: str, lines: int) -> str:
        """Read the end of what a job printed."""
        job = _Id.of(id)
        return read_tail(job.folder / f"{job.pid}_0_log.out", lines)

    def close(self) -> None:
        """Do nothing: the controllers go on."""


def _look(job: _Id) -> JobStatus:
    if _controller(job) is not None:
        return JobStatus(state="running", what=f"controller {job.pid}")
    try:
        said = _record(job).read_text("ascii")
    except OSError:
        # It was killed, or is one of another machine.
        return JobStatus(state="gone", what=f"{socket.gethostname()} has no controller {job.pid}")
    if said == "cancelled":
        return JobStatus(state="cancelled")
    if said == "0":
        return JobStatus(state="ended")
    killed = said.startswith("-")
    what = (
        f"signal {said[1:]}: killed, or at the end of its time" if killed else f"exit code {said}"
    )
    return JobStatus(state="failed", what=what)


def _record(job: _Id) -> Path:
    return job.folder / f"{job.pid}.exit"


def _controller(job: _Id) -> psutil.Process | None:
    """Return the controller of a job while it lives, where it is one of this machine."""
    if job.host != socket.gethostname():
        return None
    return process_since(job.pid, job.born)
