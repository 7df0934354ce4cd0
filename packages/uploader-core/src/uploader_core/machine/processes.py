"""A process together with those that it started: how much it does, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import psutil


class Process(Protocol):
    """What is known of a process that was started, as :class:`subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> IO[str] | None: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    @property
    def stderr(self) -> IO[str] | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def activity(leader: int) -> tuple[float, int] | None:
    """Return what a process and those that it started did so far; None when none is there.

    Args:
        leader: Its number; it leads a session of its own, where there are sessions.

    Returns:
        Seconds of processor time, and operations and bytes of input and output, where the system
        counts them for each process.
    """
    import psutil

    seconds, moved, found = 0.0, 0, False
    for process in _started_by(leader):
        with contextlib.suppress(OSError, psutil.Error):
            seconds += sum(process.cpu_times()[:4])  # with those of children that have ended
            found = True
            moved += sum(process.io_counters()) if hasattr(process, "io_counters") else 0
    return (seconds, moved) if found else None


def _started_by(leader: int) -> Iterator[psutil.Process]:
    """Yield a process and what it started; where there are sessions, also what lost its parent."""
    import psutil

    if sys.platform == "win32":
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(leader)
            yield from (process, *process.children(recursive=True))
        return
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == leader:
                yield psutil.Process(pid)


def kill(process: Process) -> None:
    """End a process at once, with its group; it leads a group of its own, where there are groups.

    Nothing happens where it has ended.
    """
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def process_since(pid: int, born: float) -> psutil.Process | None:
    """Return a process while it lives; its number is given to others later.

    Args:
        pid: Its number.
        born: When it was started, seconds since 1970, as psutil says it.
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        if alive and abs(process.create_time() - born) < 1.0:
            return process
    return None


def end_tree(process: psutil.Process) -> None:
    """Kill a process and all below it, whatever sessions they lead, and wait until they are gone.

    One that this process started itself is not waited for: who does that gets its exit code.
    """
    import psutil

    found = [process]
    mine = False
    with contextlib.suppress(psutil.Error):
        found += process.children(recursive=True)
        mine = process.ppid() == os.getpid()
    for each in found:
        with contextlib.suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(found[1:] if mine else found, timeout=5)


def describe_exit(code: int) -> str:
    """Say how a process ended, to follow what it is called."""
    if code >= 0:
        return f"left with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
