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
