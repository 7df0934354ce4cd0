"""Runs a command below submitit's controller and writes down how it ended.

``... FOLDER SECONDS COMMAND...``: submitit knows how a function ended that it unpickled, and of a
command nothing. To end one it signals its own child alone, and kills that a second later; so
signals are handed on, and what does not end by them is killed, with all below it. The time of a job
is kept here: submitit counts from before this process is up, and on a busy machine the second is
over before anything is written down, see findings/submitit_counts_before_a_job_is_up.sh.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import psutil

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_GRACE = 0.6
"""Seconds between the signal and the end; submitit waits one."""
_GRACE_OF_TIME = 5.0
"""Seconds between the signal and the end of a command whose time is over."""


class _EndedError(Exception):
    """A signal says that the command shall end."""


def main(folder: str, seconds: str, *command: str) -> int:
    """Run a command; its exit code comes into ``CONTROLLER.exit``.

    Args:
        folder: Of the record.
        seconds: Wall time.
        command: What is run.

    Returns:
        The exit code, negative for a signal that ended the command.
    """
    record = Path(folder) / f"{os.getppid()}.exit"

    def end(number: int, _: object) -> NoReturn:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise _EndedError(number)

    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        for number in _SIGNALS:
            signal.signal(number, end)
        try:
            try:
                code = process.wait(float(seconds))
            except subprocess.TimeoutExpired:
                code = _ended(process, signal.SIGTERM, _GRACE_OF_TIME)
        except _EndedError as error:
            code = _ended(process, error.args[0], _GRACE)
    partial = record.with_suffix(".partial")
    partial.write_text(str(code), "ascii")
    partial.replace(record)
    return code


def _ended(process: subprocess.Popen[bytes], number: int, grace: float) -> int:
    """End a command with all that it started, and return its exit code or the signal."""
    below = _below(process.pid)
    process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    for each in below:
        with contextlib.suppress(psutil.Error):
            each.kill()
    return process.wait() or -int(number)


def _below(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
