"""The executor ``slurm``: steps are batch jobs, which the cluster keeps when the run is gone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from uploader_core.plugin import (
    ExecutorContext,
    Job,
    JobResources,
    JobStatus,
    PluginError,
    RefusedError,
    TemporaryError,
    read_tail,
)
from uploader_slurm import limits, script
from uploader_slurm.commands import Commands
from uploader_slurm.refusals import no_folder
from uploader_slurm.settings import SlurmSettings, gpu_rule, more_options
from uploader_slurm.states import ended_jobs, seen_jobs

_OPEN = ("waiting", "running")
_ENDED = re.compile("invalid job id|already complet", re.I)
_FRESH = 60.0
"""Seconds for which what sinfo said of the nodes is believed."""


def open_executor(context: ExecutorContext) -> SlurmExecutor:
    """Open the executor; see :class:`~uploader_core.plugin.ExecutorSpec`.

    Raises:
        RefusedError: This machine has no Slurm.
        UsageError: A setting cannot be read.
    """
    settings: SlurmSettings = context.settings or SlurmSettings()
    more_options(settings)
    gpu_rule(settings, 0)
    commands = Commands(context.environment)
    commands.require()
    return SlurmExecutor(commands, settings, context.jobs)


class _Id(NamedTuple):
    """What the id of a job says: its number, and where it prints."""

    number: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.number} {self.folder}"

    @classmethod
    def of(cls, text: str) -> _Id:
        number, _, folder = text.partition(" ")
        return cls(number, Path(folder))


class SlurmExecutor:
    """Submits jobs with sbatch, and asks squeue how they are.

    Args:
        commands: Slurm's programs.
        settings: Of the executor.
        jobs: What the user said with ``--jobs``.
    """

    def __init__(
        self, commands: Commands, settings: SlurmSettings, jobs: int | None = None
    ) -> None:
        self.places = max(1, jobs or settings.places)
        self.interval = settings.interval
        self._commands = commands
        self._settings = settings
        self._doubtful: set[str] = set()
        self._nodes: tuple[float, list[limits.Nodes]] = (0.0, [])

    def check(self, resources: JobResources) -> Iterable[str]:
        """Refuse what no node of the partition can give.

        Slurm itself takes some such jobs, and they wait for ever.

        Raises:
            UploaderError: The controller did not answer.
        """
        needs_gpu = resources.gpus and resources.gpu_memory
        if needs_gpu and gpu_rule(self._settings, resources.gpu_memory) is None:
            gb = resources.gpu_memory / 1e9
            yield (
                f"it needs a GPU with {gb:.0f} GB, and nothing says which nodes have one: add "
                f"--slurm-gpu-constraints {gb:.0f}GB=FEATURE, or {gb:.0f}GB= where all have"
            )
            return
        asked = limits.ask(self._settings, resources)
        yield from limits.refusals(asked, self._settings.partition, self._cluster())

    def submit(self, job: Job) -> str:
        """Write a script and hand it to sbatch.

        Raises:
            TemporaryError: The controller did not answer; perhaps it has the job, which the next
                call finds out.
            RefusedError: It does not take the job, or the job's folder cannot be written.
        """
        if job.key in self._doubtful:
            found = self.find(job)
            self._doubtful.discard(job.key)
            if found is not None:
                return found
        asked = self._asked(job.resources)
        try:
            folder = script.write(job, asked, self._settings)
        except OSError as error:
            raise no_folder(job, error, "slurm") from error
        try:
            said = self._commands.run(
                "sbatch", "--parsable", f"--export-file={script.ENVIRONMENT}", script.SCRIPT,
                cwd=folder,
            )  # fmt: skip
        except TemporaryError:
            self._doubtful.add(job.key)
            raise
        except PluginError as error:
            raise RefusedError(
                f"{job.name}: {error.what}",
                owner="executor slurm",
                safe="jobs that were submitted go on",
                next=_advice(error.what),
            ) from error
        number = said.split(";")[0].strip()  # NUMBER;CLUSTER
        if not number.isdigit():
            raise PluginError(
                f"sbatch printed no number of a job: {said[:200]!r}",
                owner="executor slurm",
                safe="jobs that were submitted go on",
                next="see whether `sbatch --parsable` prints one in a terminal",
            )
        return str(_Id(number, folder))

    def find(self, job: Job) -> str | None:
        """Look for a job of this name that was submitted from this folder."""
        folder = job.folder / "executor"
        here = os.path.realpath(folder)
        found = [
            seen.id
            for seen in seen_jobs(self._commands)
            if seen.name.split(" ")[0] == job.key
            and os.path.realpath(seen.folder) == here
            and seen.status().state in _OPEN
        ]
        return str(_Id(max(found, key=int), folder)) if found else None

    def poll(self, ids: Iterable[str]) -> Mapping[str, JobStatus]:
        """Ask squeue, and sacct for what that does not know any more."""
        numbers = {_Id.of(id).number: id for id in ids}
        if not numbers:
            return {}
        seen = {job.id: job.status() for job in seen_jobs(self._commands) if job.id in numbers}
        forgotten = [number for number in numbers if number not in seen]
        if forgotten:
            seen |= ended_jobs(self._commands, forgotten)
        gone = JobStatus(state="gone", what="Slurm does not know it any more")
        return {id: seen.get(number, gone) for number, id in numbers.items()}

    def cancel(self, ids: Iterable[str]) -> None:
        """Tell scancel; Slurm ends all processes of a job."""
        numbers = [_Id.of(id).number for id in ids]
        if not numbers:
            return
        try:
            self._commands.run("scancel", *numbers)
        except PluginError as error:
            if not _ENDED.search(error.what):
                raise

    def logs(self, id: str, lines: int) -> str:
        """Read the end of what a job printed, in all its starts."""
        number, folder = _Id.of(id)
        return read_tail(folder / script.LOG.replace("%j", number), lines)

    def close(self) -> None:
        """Do nothing: the jobs are the cluster's."""

    def _asked(self, resources: JobResources) -> limits.Asked:
        """Say a job's needs, and no more time than there is: a job that was too slow asks again."""
        longest = limits.longest(self._settings.partition, self._cluster())
        return limits.at_most(limits.ask(self._settings, resources), longest)

    def _cluster(self) -> list[limits.Nodes]:
        when, nodes = self._nodes
        if not nodes or time.monotonic() - when > _FRESH:
            nodes = limits.all_nodes(self._commands)
            self._nodes = (time.monotonic(), nodes)
        return nodes


def _advice(said: str) -> str:
    """Return what to do about a job that sbatch does not take."""
    if "MaxSubmit" in said or "job submit limit" in said:
        return "fewer jobs at once: --slurm-places N, or your limits there (`sacctmgr show assoc`)"
    if "account" in said.lower():
        return "add --slurm-account NAME; `sacctmgr show assoc user=$USER` lists them"
    return "change the settings [slurm]; the script is executor/job.sh in the job's folder"
