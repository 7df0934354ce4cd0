"""What a child process gives up before it reads what may have been made to do harm."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000


def leave_the_network() -> None:
    """Enter a network without any interface, where Linux lets everybody do that."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_NETWORK)


def take_limit(name: str, most: int) -> None:
    """Take a limit of the system's, or leave the one of this job where that is lower.

    Only who may do anything raises a limit that a job was started with (``ulimit``, Slurm), and
    nobody who left the network may.

    Args:
        name: What the module ``resource`` calls it, without ``RLIMIT_``.
        most: The limit.
    """
    if sys.platform == "win32":
        return
    import resource

    which = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(which)[1]
    # Not min: on some systems what is unlimited is -1.
    most = most if hard == resource.RLIM_INFINITY or most < hard else hard
    with contextlib.suppress(ValueError, OSError):  # macOS takes not all of them
        resource.setrlimit(which, (most, most))
