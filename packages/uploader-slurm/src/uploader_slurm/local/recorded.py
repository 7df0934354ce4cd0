"""Runs a command below submitit's controller and writes down how it ended: ``... FOLDER COMMAND``.

submitit knows how a function ended that it unpickled, and of a command nothing. At the end of its
time it signals its own child alone, and kills that a second later; so signals are handed on, and
what does not end by them is killed, with all below it.
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


class _EndedError(Exception):
    """A signal says that the command shall end."""


def main(folder: str, *command: str) -> int:
    """Run a command; its exit code comes into ``CONTROLLER.exit``.

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
            code = process.wait()
        except _EndedError as error:
            below = _below(process.pid)
            process.send_signal(error.args[0])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            for each in below:
                with contextlib.suppress(psutil.Error):
                    each.kill()
            code = process.wait() or -int(error.args[0])
    partial = record.with_suffix(".partial")
    partial.write_text(str(code), "ascii")
    partial.replace(record)
    return code


def _below(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
