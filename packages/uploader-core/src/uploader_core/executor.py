"""What runs steps somewhere else: the interface between a run and an executor.

An executor takes commands to machines and says what became of them; it is a thin layer over an
engine that people have already (Slurm, Dask). What a command does, whether it succeeded and what it
made, it never asks: that is written into the folder of the job, which every machine sees. A command
may be run twice, or by two machines at once, without harm, so an engine may requeue it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

JobState = Literal["waiting", "running", "ended", "failed", "cancelled", "gone"]
"""Of a job: ``ended`` when its command returned 0, ``failed`` when it returned anything else or was
ended by the engine, ``gone`` when the engine does not know it any more."""

OPEN: tuple[JobState, ...] = ("waiting", "running")
"""The states of a job that something may still come of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResources:
    """What a job needs of the machine that runs it.

    Attributes:
        cpus: Processors.
        memory: Bytes of memory; 0 where it is not known.
        scratch: Bytes on the file system of the release that exist only meanwhile.
        gpus: Number of GPUs.
        gpu_memory: Bytes of memory that each of them has to have; 0 for any.
        seconds: Wall time, with a margin; None where it is not known.
    """

    cpus: int = 1
    memory: int = 0
    scratch: int = 0
    gpus: int = 0
    gpu_memory: int = 0
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A command that shall run on some machine.

    Attributes:
        key: Of letters, digits and dashes; jobs of one key do the same work.
        name: For people, in listings of the engine.
        folder: Of the job, on the file system that all machines share. The executor may write
            below ``folder / "executor"``.
        argv: The command. It changes no folder and reads no standard input.
        environment: All variables that it is given; no secret is among them.
        resources: What it needs.
    """

    key: str
    name: str
    folder: Path
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    resources: JobResources = field(default_factory=JobResources)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """How a job is.

    Attributes:
        state: See :data:`JobState`.
        what: Why, in the engine's words: the node, the reason for which it waits, the signal or
            limit that ended it; "" where there is nothing to say.
    """

    state: JobState
    what: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorContext:
    """Given to the ``run`` of an
    :class:`~uploader_core.contract.specs.ExecutorSpec`.

    Attributes:
        settings: The spec's settings, or None.
        environment: Variables of the run without its secrets.
        jobs: What the user said with ``--jobs``; None where nothing was said.
    """

    settings: Any
    environment: Mapping[str, str]
    jobs: int | None = None


class Executor(Protocol):
    """Runs jobs. Its methods are called by one thread at a time.

    What fails for a moment (a controller that restarts) is a
    :class:`~uploader_core.errors.TemporaryError`: the same call comes again. Any other error of
    :mod:`uploader_core.errors` ends the run.

    Attributes:
        places: Jobs that may be submitted at once.
        interval: Seconds between two calls of :meth:`poll`.
    """

    places: int
    interval: float

    def check(self, resources: JobResources) -> Iterable[str]:
        """Say why no machine of the engine can ever give that; nothing where one can.

        Each sentence names what is asked, what there is, and what to change.
        """
        ...

    def submit(self, job: Job) -> str:
        """Hand a job to the engine and return the id by which it is known there.

        The id means the same to another process of another machine, later.
        """
        ...

    def find(self, job: Job) -> str | None:
        """Return the id of a job of this key that the engine knows and that is not ended.

        Asked by a run that went on after one that was killed, perhaps between :meth:`submit` and
        writing the id down.
        """
        ...

    def poll(self, ids: Iterable[str]) -> Mapping[str, JobStatus]:
        """Return how each of some jobs is; ``gone`` for those that the engine does not know."""
        ...

    def cancel(self, ids: Iterable[str]) -> None:
        """End jobs, with every process that they started. One that is ended already is no error."""
        ...

    def logs(self, id: str, lines: int) -> str:
        """Return the last lines that a job printed, or "" where there are none."""
        ...

    def close(self) -> None:
        """Let go of the engine; jobs go on where it can run them without this process."""
        ...
