"""Slurm's own programs, asked in a way that no answer of them is misread."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from uploader_core.plugin import PluginError, RefusedError, TemporaryError

_LIMIT = 90.0
"""Seconds for which a command is waited for; the controller's own limit is 10 s, three times."""

_AWAY = re.compile(
    r"unable to contact|connect failure|connection (refused|reset|timed out)|socket timed out"
    r"|timed out on send/recv|zero bytes were transmitted|transport endpoint|try again"
    r"|temporarily|communication connection failure|authentication credential|not responding",
    re.I,
)


class Commands:
    """Runs ``sbatch``, ``squeue``, ``scancel``, ``sinfo`` and ``sacct``.

    Args:
        environment: Of the run, without secrets. What would change a job behind our back is left
            out: ``SBATCH_*`` stands above what a script says, and ``SLURM_*`` of a job in which
            the run itself works would go on to its jobs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {
            name: value
            for name, value in environment.items()
            if name == "SLURM_CONF"
            or not name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_", "SACCT_"))
        } | {"LC_ALL": "C"}

    def require(self) -> None:
        """Refuse a machine without Slurm.

        Raises:
            RefusedError: Its programs are not on the PATH.
        """
        path = self._environment.get("PATH")
        missing = [
            name
            for name in ("sbatch", "squeue", "scancel", "sinfo")
            if shutil.which(name, path=path) is None
        ]
        if missing:
            raise RefusedError(
                f"this machine has no {', '.join(missing)}",
                owner="executor slurm",
                safe="nothing was submitted",
                next="run uploader on a login node of the cluster, or take another executor: "
                "`uploader plugins` lists them",
            )

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Return what a command prints.

        Raises:
            TemporaryError: The controller did not answer.
            PluginError: The command failed for another reason, which is in ``what``.
        """
        name = command[0]
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_LIMIT,
            )
        except subprocess.TimeoutExpired as error:
            raise _temporary(f"{name} did not answer in {_LIMIT:.0f} s") from error
        if done.returncode == 0:
            return done.stdout
        said = " ".join((done.stderr or done.stdout).split())
        if _AWAY.search(said):
            raise _temporary(f"{name}: {said}")
        raise PluginError(
            f"{name}: {said or f'exit code {done.returncode}'}",
            owner="Slurm",
            safe="jobs that were submitted go on",
            next=f"see whether `{name}` works in a terminal",
        )


def _temporary(what: str) -> TemporaryError:
    return TemporaryError(
        what,
        owner="Slurm",
        safe="jobs that were submitted go on",
        next="run the same command again when `squeue` answers; it finds its jobs",
    )
