"""The one function that a worker of Dask runs: it starts a command and waits for it.

A worker needs this package, and gets the name of the function and its arguments.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

PRINTED = "printed.log"
"""Below ``executor`` in the folder of a job: what it prints, in all its attempts."""

_OF_THE_WORKER = frozenset(
    {
        *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"),
        *("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
    }
)
"""Variables that say which GPUs are meant: of the machine that has them, not of the run's."""

_PAUSE = 0.1
_LONG_PAUSE = 0.5
_GRACE = 5.0
"""Seconds that a command has to end what it started, once it is told to end."""


def run_command(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    key: str,
    seconds: float | None,
) -> tuple[int, str]:
    """Run a command until it ends, takes too long, or nobody wants it any more.

    Args:
        argv: The command.
        environment: All variables that it is given, but for those that say which GPUs are meant.
        folder: Of the job.
        key: Of the task, by which it knows itself.
        seconds: Wall time.

    Returns:
        Its exit code, and what there is to say.
    """
    host = socket.gethostname()
    place = Path(folder) / "executor"
    if not place.parent.is_dir():
        return 1, f"{host} sees no folder {folder}"
    try:
        place.mkdir(exist_ok=True)
        with (place / PRINTED).open("ab") as printed:
            process = subprocess.Popen(
                [*argv],
                env=on_this_machine(environment, os.environ),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt",
            )
    except OSError as error:
        return 1, f"{host}: {error}"
    try:
        why = _wait(process, seconds, _is_wanted_by_worker(key))
    finally:
        end(process)
    if why:
        return process.returncode or 1, f"{host}: {why}"
    return process.returncode, f"{host}: exit code {process.returncode}"


def on_this_machine(given: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a command, with the GPUs of this worker.

    Args:
        given: By the run.
        own: Of the worker.
    """
    return {name: value for name, value in given.items() if name not in _OF_THE_WORKER} | {
        name: own[name] for name in _OF_THE_WORKER if name in own
    }


def _wait(
    process: subprocess.Popen[bytes], seconds: float | None, is_wanted: Callable[[], bool]
) -> str:
    """Wait for a command; return why it has to end before it does, "" where it has ended."""
    begun = time.monotonic()
    pause = _PAUSE
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
            return ""
        pause = min(_LONG_PAUSE, 1.5 * pause)
        if seconds is not None and time.monotonic() - begun > seconds:
            return f"it took longer than {seconds:g} s"
        if not is_wanted():
            return "it was cancelled"


def _is_wanted_by_worker(key: str) -> Callable[[], bool]:
    """Return what tells whether the task of a key was cancelled meanwhile.

    A thread of a worker cannot be ended from outside. What the worker knows of the task can be
    asked, and says so as soon as the scheduler told the worker.
    """
    from distributed import get_worker

    tasks = get_worker().state.tasks

    def is_wanted() -> bool:
        task = tasks.get(key)
        return task is not None and task.state != "cancelled"

    return is_wanted


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started; the worker below it leads a session of its own."""
    if process.poll() is not None:
        return
    below: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGTERM)  # it ends them itself
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    for each in below:
        with contextlib.suppress(psutil.Error):
            each.kill()
    process.kill()
    process.wait()
