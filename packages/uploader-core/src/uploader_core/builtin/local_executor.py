"""``--executor local``: jobs are processes of this machine that outlive the run.

It is the smallest executor, the model for others, and for steps of hours on a machine where the
terminal may be closed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from uploader_core.executor import ExecutorContext, Job, JobResources, JobStatus
from uploader_core.human_text import size_text
from uploader_core.machine.processes import describe_exit, end_tree, process_since
from uploader_core.machine.tail import read_tail


def open_executor(context: ExecutorContext) -> LocalExecutor:
    """Open the executor of this machine; see :class:`~uploader_core.executor.ExecutorSpec`."""
    return LocalExecutor(context.jobs or 1)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the id of a job says.

    Attributes:
        host: Machine on which it runs.
        pid: Its process, the leader of a session.
        born: When that was started, seconds since 1970.
        limit: Seconds that it may take, 0 for any.
        folder: Of the job.
    """

    host: str
    pid: int
    born: float
    limit: float
    folder: Path

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.born:.2f}/{self.limit:.0f}/{self.folder}"

    @classmethod
    def of(cls, id: str) -> _Known:
        host, pid, born, limit, folder = id.split("/", 4)
        return cls(host, int(pid), float(born), float(limit), Path(folder))


class LocalExecutor:
    """Starts jobs as processes.

    Args:
        places: Jobs side by side.
    """

    interval = 0.1

    def __init__(self, places: int) -> None:
        self.places = places
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    def check(self, resources: JobResources) -> Iterable[str]:
        """Refuse more memory or processors than this machine has."""
        memory, cpus = psutil.virtual_memory().total, os.cpu_count() or 1
        if resources.memory > memory:
            asked, there = size_text(resources.memory), size_text(memory)
            yield f"it needs {asked} of memory and this machine has {there}: use a larger one"
        if resources.cpus > cpus:
            yield f"it needs {resources.cpus} processors and this machine has {cpus}"

    def submit(self, job: Job) -> str:
        """Start a process in a session of its own."""
        place = job.folder / "executor"
        place.mkdir(parents=True, exist_ok=True)
        with (place / "printed.log").open("ab") as printed:
            process = subprocess.Popen(
                job.argv,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**job.environment},
                start_new_session=os.name != "nt",
            )
        born = time.time()
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(process.pid).create_time()
        limit = job.resources.seconds or 0.0
        known = _Known(socket.gethostname(), process.pid, born, limit, job.folder)
        self._own[str(known)] = process
        return str(known)

    def find(self, job: Job) -> str | None:
        """Look for a process with the command of a job."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-len(job.argv) + 1 :] == [*job.argv[1:]]:
                    born, limit = process.create_time(), job.resources.seconds or 0.0
                    host = socket.gethostname()
                    return str(_Known(host, process.pid, born, limit, job.folder))
        return None

    def poll(self, ids: Iterable[str]) -> Mapping[str, JobStatus]:
        """Look at the processes, and end those that took too long."""
        return {id: self._look(id) for id in ids}

    def cancel(self, ids: Iterable[str]) -> None:
        """End processes with their sessions."""
        for id in ids:
            process = self._process(_Known.of(id))
            if process is not None:
                end_tree(process)
            if id in self._own:
                self._own[id].wait()

    def logs(self, id: str, lines: int) -> str:
        """Read the end of what a job printed."""
        return read_tail(_Known.of(id).folder / "executor" / "printed.log", lines)

    def close(self) -> None:
        """Do nothing: jobs go on."""

    def _look(self, id: str) -> JobStatus:
        known, own = _Known.of(id), self._own.get(id)
        process = self._process(known)
        code = None if own is None else own.poll()  # asked last: it may end between the two
        if code is not None:
            if code:
                return JobStatus(state="failed", what=describe_exit(code))
            return JobStatus(state="ended")
        if process is None:
            return JobStatus(state="gone", what=f"no such process on {socket.gethostname()}")
        if known.limit and time.time() - known.born > known.limit:
            end_tree(process)
            if own is not None:
                own.wait()
            return JobStatus(state="failed", what=f"it took longer than {known.limit:g} s")
        return JobStatus(state="running", what=f"process {known.pid}")

    @staticmethod
    def _process(known: _Known) -> psutil.Process | None:
        """Return a job's process while that lives, where it is one of this machine."""
        if known.host != socket.gethostname():
            return None
        return process_since(known.pid, known.born)
