"""What a child process gives up before it reads what may have been made to do harm."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_USUAL_STACK = 8 << 20


def leave_the_network() -> None:
    """Enter a network without any interface, where Linux lets everybody do that."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_NETWORK)


def take_limit(name: str, most: int, *, lasting: bool = True) -> None:
    """Take a limit of the system's, or leave the one of this job where that is lower.

    Only who may do anything raises a limit that a job was started with (``ulimit``, Slurm), and
    nobody who left the network may.

    Args:
        name: What the module ``resource`` calls it, without ``RLIMIT_``.
        most: The limit.
        lasting: Whether it can never be raised again.
    """
    if sys.platform == "win32":
        return
    import resource

    which = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(which)[1]
    # Not min: on some systems what is unlimited is -1.
    most = most if hard == resource.RLIM_INFINITY or most < hard else hard
    with contextlib.suppress(ValueError, OSError):  # macOS takes not all of them
        resource.setrlimit(which, (most, most if lasting else hard))


def limit_memory(mebibytes: float, *, threads: int = 0, lasting: bool = True) -> None:
    """Get no more memory than there is now, and so much more; on Linux.

    Args:
        mebibytes: How much more, with a stack of the usual size for each of ``threads``.
        threads: That are started later; clusters give each a larger stack (``ulimit -s``).
        lasting: Whether it can never be raised again.
    """
    if sys.platform == "linux":  # macOS takes no such limit
        import resource

        stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
        larger = 0 if stack == resource.RLIM_INFINITY else max(0, stack - _USUAL_STACK)
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as light as can be
            pages = int(file.read().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + int(mebibytes * (1 << 20)) + threads * larger
        take_limit("AS", most, lasting=lasting)


def limit_time(seconds: float) -> None:
    """Be ended by SIGPROF after so much more time of a processor; in place of an earlier limit."""
    if sys.platform != "win32":
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
