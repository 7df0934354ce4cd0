"""The script that sbatch gets, written by submitit.

Of submitit this takes what it knows of Slurm: the form of a script and the names of the options.
Not its jobs: those unpickle a function that the run pickled, so a node would run whatever lies in
a file and would need the very same Python; and submitit asks ``sacct`` alone how a job is, and
without accounting takes what it does not know for work in progress.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import submitit

from uploader_core.plugin import Job
from uploader_slurm.limits import Asked
from uploader_slurm.settings import SlurmSettings, more_options

SCRIPT = "job.sh"
ENVIRONMENT = "environment"
LOG = "slurm-%j.log"


def write(job: Job, asked: Asked, settings: SlurmSettings) -> Path:
    """Write what sbatch needs of a job.

    Args:
        job: What shall run.
        asked: What it needs, as sbatch asks for it.
        settings: Of the executor.

    Returns:
        The folder with the files ``job.sh`` and ``environment``. The script is to be submitted
        from there, for what it prints comes into a file in that folder.

    Raises:
        UsageError: An option that the user adds is decided by the executor.
    """
    folder = job.folder / "executor"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(text(job, asked, settings, folder), "utf-8")
    # With nothing but names sbatch runs a login shell on the node for the rest, and what is in
    # ~/.bashrc would come along. From a file it takes what is there, and no more. Where the run
    # itself is in a job of Slurm, what that was given is not for this one.
    pairs = (
        f"{name}={value}\0"
        for name, value in job.environment.items()
        if not name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SBATCH_"))
    )
    (folder / ENVIRONMENT).write_text("".join(pairs), "utf-8", "surrogateescape")
    return folder


def text(job: Job, asked: Asked, settings: SlurmSettings, folder: Path) -> str:
    """Return the script of a job.

    Args:
        job: What shall run.
        asked: What it needs, as sbatch asks for it.
        settings: Of the executor.
        folder: In which it is submitted.
    """
    writer = _Writer(folder=folder)
    writer.update_parameters(**_parameters(job, asked, settings))
    # exec: the signals of scancel and of the time limit reach the command itself.
    return writer.script(f"exec {shlex.join(job.argv)}")


def named(job: Job) -> str:
    """Return the name of a job in Slurm: its key, by which it is found, and words for people."""
    words = "".join(c if c.isprintable() and c not in "|'\"\\" else "-" for c in job.name)
    return f"{job.key} {words}"[:200].strip()


class _Writer(submitit.SlurmExecutor):
    """submitit's executor with a command of ours instead of one that unpickles a function."""

    @classmethod
    def affinity(cls) -> int:
        """Ask for no ``srun``: the script is run by the node itself."""
        return 1

    def script(self, command: str) -> str:
        """Return the script with a command at its end."""
        made: str = self._make_submission_file_text(command, "")
        return made


def _parameters(job: Job, asked: Asked, settings: SlurmSettings) -> Mapping[str, object]:
    """Return submitit's parameters; None leaves one out."""
    gpus = f"{asked.gpu_type}:{asked.gpus}" if asked.gpu_type else asked.gpus
    more: dict[str, object] = {"requeue": True, "output": LOG}
    if asked.scratch:
        more["tmp"] = f"{asked.scratch}M"
    return {
        "job_name": named(job),
        "partition": settings.partition or None,
        "account": settings.account or None,
        "qos": settings.qos or None,
        "constraint": asked.features or None,
        "time": asked.minutes,  # submitit asks for 5 minutes where nothing is said
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": asked.cpus,
        "mem": None if asked.memory is None else f"{asked.memory}M",
        "gpus_per_node": gpus or None,
        "setup": [*settings.setup] or None,
        "wckey": None,
        "stderr_to_stdout": True,
        "use_srun": False,
        "additional_parameters": {**more, **more_options(settings)},
    }
