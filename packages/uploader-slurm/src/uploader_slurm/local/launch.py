"""Starts submitit's controller, in a process of its own: ``... FOLDER SECONDS GPUS COMMAND...``.

submitit hands on all variables of the process that asks it, and its controller stays in that one's
process group. Here that process is this one: it has the environment of the job and leads a session,
so no secret of the run is seen, Ctrl-C in its terminal is not heard, and its end leaves the
controller to the system.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from submitit import LocalExecutor

_LATE = 60.0
"""Seconds after its time at which submitit ends a job that did not end by itself."""


class _Starter(LocalExecutor):
    def start(self, seconds: str, command: list[str]) -> str:
        """Start a controller that runs a command for a time, and return its process number."""
        recorded = [
            sys.executable, "-m", "uploader_slurm.local.recorded", str(self.folder), seconds,
        ]  # fmt: skip
        return self._submit_command(shlex.join([*recorded, *command])).job_id


def main(folder: str, seconds: str, gpus: str, *command: str) -> None:
    """Start a controller and print its number."""
    # Whoever reads that waits for the end of the pipe; the controller shall not hold it.
    answer = os.dup(1)
    os.dup2(2, 1)
    starter = _Starter(folder=Path(folder))
    # No signal before the end: a step that is ended is told so, and leaves nothing half.
    starter.update_parameters(
        timeout_min=(float(seconds) + _LATE) / 60,
        signal_delay_s=0,
        stderr_to_stdout=True,
        gpus_per_node=int(gpus),  # submitit hides those that nobody asked for
    )
    os.write(answer, starter.start(seconds, [*command]).encode("ascii"))


if __name__ == "__main__":
    main(*sys.argv[1:])
