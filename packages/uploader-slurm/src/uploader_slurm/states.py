"""What Slurm says of jobs, without accounting and with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from uploader_core.plugin import JobState, JobStatus, PluginError
from uploader_slurm.commands import Commands

# squeue's names of states. A job that was requeued has its id still and waits like a new one.
_STATES: Mapping[JobState, str] = {
    "waiting": "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD",
    "running": "RUNNING COMPLETING SUSPENDED STOPPED SIGNALING STAGE_OUT RESIZING",
    "ended": "COMPLETED",
    "failed": "FAILED TIMEOUT NODE_FAIL BOOT_FAIL DEADLINE OUT_OF_MEMORY PREEMPTED LAUNCH_FAILED"
    " RECONFIG_FAIL",
    "cancelled": "CANCELLED REVOKED",
}
_BY_NAME = {name: state for state, names in _STATES.items() for name in names.split()}
_REASONS: Mapping[str, str] = {
    "PartitionTimeLimit": "it asks for more time than the partition allows, and will never start",
    "JobHeldAdmin": "an administrator held it",
    "JobHeldUser": "it is held: `scontrol release` lets it start",
    "launch failed requeued held": "its node could not start it: `scontrol release` tries again",
}
_FORMAT = "%i|%T|%N|%j|%r|%Z"  # those that may contain a | come last


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A job as squeue shows it.

    Attributes:
        id: Its number.
        state: Slurm's name of its state.
        nodes: Where it runs or ran.
        name: As it was submitted.
        reason: For which it waits or ended.
        folder: Its working folder.
    """

    id: str
    state: str
    nodes: str
    name: str
    reason: str
    folder: str

    def status(self) -> JobStatus:
        """Return how it is.

        Raises:
            PluginError: Its state is none that is known here.
        """
        words = _REASONS.get(self.reason, "" if self.reason == "None" else self.reason)
        where = f"on {self.nodes}" if self.nodes else ""
        what = ", ".join(filter(None, [self.state.lower(), words, where]))
        return JobStatus(state=_state("squeue", self.state), what=what)


def seen_jobs(commands: Commands) -> list[Seen]:
    """Return the jobs of this user that the controller knows, those that ended lately as well.

    It is asked for all jobs of the user, in one go: about single ones that it forgot it fails,
    in words that do not tell this from other failures.

    Raises:
        UploaderError: It did not answer, or not like this.
    """
    text = commands.run(
        "squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--format={_FORMAT}"
    )
    return [_seen(line) for line in text.splitlines() if line]


def _seen(line: str) -> Seen:
    parts = line.split("|", 5)
    if len(parts) != 6:
        raise _unknown("squeue", line)
    number, state, nodes, name, reason, folder = parts
    return Seen(id=number, state=state, nodes=nodes, name=name, reason=reason, folder=folder)


def ended_jobs(commands: Commands, ids: Iterable[str]) -> Mapping[str, JobStatus]:
    """Return how jobs ended that the controller forgot, where the cluster has accounting.

    Args:
        commands: To ask with.
        ids: Of the jobs.

    Returns:
        Those that are known to have ended; none where there is no accounting.

    Raises:
        TemporaryError: The accounting did not answer.
    """
    jobs = ",".join(ids)
    try:
        text = commands.run(
            "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={jobs}",
            "--format=JobIDRaw,State,ExitCode",
        )  # fmt: skip
    except (PluginError, FileNotFoundError):
        return {}
    found = {}
    for line in text.splitlines():
        number, state, code = line.split("|")
        name = state.split(" ")[0]  # CANCELLED by 1000
        kind = _state("sacct", name) if name else "running"
        # One that it takes to be at work although the controller does not know it is not.
        if kind not in {"waiting", "running"}:
            said = f"{state.lower()}, exit code {code}"
            found[number] = JobStatus(state=kind, what=said)
    return found


def _state(program: Literal["squeue", "sacct"], name: str) -> JobState:
    found = _BY_NAME.get(name.rstrip("+"))
    if found is None:
        raise _unknown(program, name)
    return found


def _unknown(program: str, text: str) -> PluginError:
    return PluginError(
        f"{program} says of a job what is not known here: {text[:200]!r}",
        owner="Slurm",
        safe="jobs that were submitted go on",
        next="report it with the version that `sbatch --version` prints",
    )
