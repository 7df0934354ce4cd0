"""A release that is made by the jobs of an executor, with the command, as a user does it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from uploader_core.executor import Job
from uploader_core.jobs.job_folder import FOLDER, JobFolder, Submitted
from uploader_kit.conformance import ConformanceError, expect
from uploader_kit.job_steps import FILES, KIND, PLUGIN, Marks

_PAUSE = 0.02


class NotInTimeError(ConformanceError):
    """What was waited for did not come."""


def until(met: Callable[[], object], seconds: float, sentence: str) -> None:
    """Wait until something holds.

    Args:
        met: Asked again and again.
        seconds: How long at most.
        sentence: What is wrong when it does not come to hold.

    Raises:
        NotInTimeError: It did not.
    """
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end  # before it is asked: this process may have stood still
        if met():
            return
        if late:
            raise NotInTimeError(f"{sentence}, after {seconds:g} s")
        time.sleep(_PAUSE)


class Run:
    """A run of the command that was started.

    Args:
        process: Of the command.
        printed: File of what it prints.
        limit: Seconds that it may take.
    """

    def __init__(self, process: subprocess.Popen[bytes], printed: Path, limit: float) -> None:
        self.process = process
        self._printed = printed
        self._limit = limit

    @property
    def said(self) -> str:
        """What it printed."""
        return self._printed.read_text("utf-8", "replace")

    def wait(self) -> int:
        """Wait for its end and return its exit code.

        Raises:
            ConformanceError: It does not end.
        """
        self.until(lambda: self.process.poll() is not None, "the run does not end")
        return self.process.wait()

    def until(self, met: Callable[[], object], sentence: str) -> None:
        """Wait until something holds while the run goes on.

        Raises:
            ConformanceError: It did not come to hold.
        """
        try:
            until(met, self._limit, sentence)
        except NotInTimeError as error:
            raise ConformanceError(f"{error}; the run said: {self._last}") from None

    def succeed(self, when: str) -> None:
        """Wait for its end, which has to be a good one.

        Args:
            when: For the sentence: what was done to it.

        Raises:
            ConformanceError: It ends otherwise.
        """
        code = self.wait()
        expect(code == 0, f"{when}, the run ends with exit code {code} and says: {self._last}")

    @property
    def _last(self) -> str:
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return " | ".join(lines[-4:])


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTrial:
    """A release to make with an executor.

    Attributes:
        root: Private folder, on the file system that the engine's machines see.
        source: Folder of a fine-tune.
        executor: Name of the executor.
        environment: Variables of the runs.
        limit: Seconds that a run may take.
    """

    root: Path
    source: Path
    executor: str
    environment: Mapping[str, str]
    limit: float

    @property
    def release(self) -> Path:
        return self.root / "release"

    @property
    def marks(self) -> Marks:
        """What the step leaves, and what lets it go on."""
        return Marks(self.root / "marks")

    @contextlib.contextmanager
    def running(
        self, *, environment: Mapping[str, str] | None = None, **step: str | bool
    ) -> Iterator[Run]:
        """Start the command; it is killed when the body ends before it.

        Args:
            environment: Further variables.
            step: Settings of :class:`~uploader_kit.job_steps.Settings`.
        """
        self.marks.folder.mkdir(parents=True, exist_ok=True)
        options = [_option("marks"), str(self.marks.folder)]
        for name, value in step.items():
            options += [_option(name)] if value is True else [_option(name), str(value)]
        printed = self.root / f"run-{len([*self.root.glob('run-*')])}.txt"
        with printed.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uploader_core", "run", str(self.source)),
                    *("--plugins", PLUGIN, "--executor", self.executor, "--jobs", "2", "--yes"),
                    *("--output", str(self.release), *options),
                ],
                cwd=self.root,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Run(process, printed, self.limit)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def waiting(self, run: Run) -> int:
        """Wait until the step waits in a job, and return its process."""
        run.until(lambda: self.marks.of("waiting") or run.process.poll() is not None,
                  "no job has begun the step")  # fmt: skip
        if not self.marks.of("waiting"):
            run.succeed("while a job should work")
        return self.marks.of("waiting")[0][0]

    def made(self) -> Mapping[str, int]:
        """Return how often each file was begun."""
        begun = [name for _, name in self.marks.of("making")]
        return {name: begun.count(name) for name in FILES}

    def is_complete(self) -> bool:
        """Return whether the release has every file as it should be."""
        paths = [self.release / KIND / name for name in FILES]
        return all(p.is_file() and p.read_text("ascii") == p.name * 1000 for p in paths)

    # -- the job of the step -------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Return the folder of the one job that there is.

        Raises:
            ConformanceError: There is none.
        """
        found = [*(self.release / ".uploader" / FOLDER).glob("*")]
        expect(found, "the run has no job: its steps run elsewhere")
        return found[0]

    def submitted(self) -> Submitted:
        """Return what the run noted of the job, which may work before that is written.

        Raises:
            ConformanceError: It noted nothing.
        """
        job, seen = JobFolder(self.folder), list[Submitted]()

        def is_noted() -> bool:
            known = job.submitted()
            seen[:] = [known] if known is not None and known.id else []
            return bool(seen)

        until(is_noted, self.limit, "the run noted no id of the job: submit returns one")
        return seen[0]

    def job(self) -> Job:
        """Return the job as the run submitted it."""
        return make_job(JobFolder(self.folder).key, self.folder, self.command, self.environment)

    @property
    def command(self) -> Sequence[str]:
        """What the job runs."""
        return (sys.executable, "-m", "uploader_core", "step", "exec", str(self.folder))


def make_job(key: str, folder: Path, argv: Sequence[str], environment: Mapping[str, str]) -> Job:
    """Return a job that gets the variables that a run gives its jobs."""
    from uploader_core.workers.environment import child_environment

    clean = child_environment(environment, (), network=False)
    return Job(key=key, name=f"trial {key}", folder=folder, argv=tuple(argv), environment=clean)


def above(pid: int, command: Sequence[str]) -> list[psutil.Process]:
    """Return a process and those above it up to the one with a command.

    Args:
        pid: Of the process.
        command: The last arguments of the one to look for.
    """
    found = [psutil.Process(pid)]
    while True:
        arguments: list[str] = []
        with contextlib.suppress(psutil.Error):
            arguments = found[-1].cmdline()
        parent = found[-1].parent()
        if arguments[-len(command) :] == [*command] or parent is None:
            return found
        found.append(parent)


def is_alive(pid: int) -> bool:
    """Return whether a process is there and at work."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def kill(processes: Sequence[psutil.Process]) -> None:
    """End processes at once, the last first."""
    for process in reversed(processes):
        with contextlib.suppress(psutil.Error):
            process.kill()


def environment_of_runs(site: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a run, with a folder on the import path.

    Args:
        site: The folder.
        more: Further variables.
    """
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, **more}


def _option(name: str) -> str:
    return f"--{PLUGIN}-{name.replace('_', '-')}"
