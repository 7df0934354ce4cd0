"""Under which conditions a trial runs: what two runs may differ in, and where one of them dies."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST, USER = "kit-other-host", "kit-other-user"
"""What a disguised worker is told about its machine."""

SHIFT = (400 * 24 + 5) * 3600 + 7 * 60 + 11
"""Seconds by which the clock of a disguised worker is ahead: in another year, hour and minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a worker sees of its machine.

    Attributes:
        seed: ``PYTHONHASHSEED``, by which the order of sets is decided.
        later: Whether its clock is ahead, see :mod:`uploader_kit.disguise`.
        elsewhere: Whether it sees another name of host and user.
        traced: Whether the system calls of all its processes are listened to.
    """

    seed: int = 1
    later: bool = False
    elsewhere: bool = False
    traced: bool = False

    @property
    def rules(self) -> dict[str, Any]:
        """For the guard in the worker."""
        return {
            "shift": SHIFT if self.later else 0,
            "host": HOST if self.elsewhere else None,
            "traced": self.traced,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the worker."""
        variables = {"PYTHONHASHSEED": str(self.seed)}
        if self.elsewhere:
            variables |= dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), USER)
        return variables


PLAIN = Conditions()
"""What a trial runs under where nothing else is said."""

CAUSES = (
    (
        PLAIN,
        "nothing was changed between the two: look for random numbers, uuid, process numbers, "
        "addresses in memory, or a clock",
    ),
    (
        Conditions(seed=2),
        "only Python's hash seed (PYTHONHASHSEED) was another: sort what comes out of a set or "
        "was ordered by hash()",
    ),
    (Conditions(later=True), "only the clock was another: leave the time out"),
    (
        Conditions(elsewhere=True),
        "only the names of host and user were others: leave them out",
    ),
)
"""What is changed alone to find out why two runs differ, and what it means when they do then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """Where a worker dies, as by ``kill -9``.

    Attributes:
        size: As soon as a file gets larger than this.
        before_second: Just before the second of these files gets its final name.
    """

    size: int | None = None
    before_second: tuple[str, ...] = ()

    def rules(self, output: Path) -> dict[str, Any]:
        """For the guard in the worker.

        Args:
            output: Folder of the files.
        """
        return {
            "size": self.size,
            "before_second": [str(output / name) for name in self.before_second],
        }


def can_die_by_size() -> bool:
    """Return whether this system ends a process whose file gets too large."""
    with contextlib.suppress(ImportError):
        import resource

        return hasattr(resource, "RLIMIT_FSIZE")
    return False


@functools.cache
def untraceable() -> str:
    """Return why the system calls of a worker cannot be listened to; "" where they can."""
    if sys.platform != "linux":
        return "strace is for Linux, so what programs do that the step starts is not seen here"
    if shutil.which("strace") is None:
        return "strace is not installed, so what programs do that the step starts is not seen here"
    try:
        probe = subprocess.run(
            ["strace", "-f", "-y", "--seccomp-bpf", "-o", "/dev/null", sys.executable, "-c", ""],  # noqa: S607
            capture_output=True,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "strace does not work here"
    if probe.returncode:
        return "strace may not trace here: " + probe.stderr.decode("utf-8", "replace").strip()[:200]
    return ""
