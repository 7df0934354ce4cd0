"""How much memory there is for a run: the machine's, or what a container leaves of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes of memory.

    Attributes:
        total: Of the machine, or the limit of the container.
        available: Without anything being pushed out; None when nobody tells.
        limited_by: What makes it less than the machine's, "" when nothing does.
    """

    total: int
    available: int | None = None
    limited_by: str = ""


def parse_meminfo(text: str) -> Memory | None:
    """Read ``/proc/meminfo``."""
    values = {m[1]: int(m[2]) << 10 for m in re.finditer(r"(?m)^(\w+):\s+(\d+) kB", text)}
    if "MemTotal" not in values:
        return None
    return Memory(total=values["MemTotal"], available=values.get("MemAvailable"))


def cgroup_limits(membership: str, read: Callable[[str], str | None]) -> list[int]:
    """Return the memory limits of a process's control groups, the outer ones included.

    Args:
        membership: ``/proc/self/cgroup``.
        read: Returns the text of a file below ``/sys/fs/cgroup``, None when there is none.
    """
    found = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        version_1 = "memory" in controllers.split(",")
        if not version_1 and controllers:
            continue
        prefix = "memory" if version_1 else ""
        name = "memory.limit_in_bytes" if version_1 else "memory.max"
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts), -1, -1):
            text = read("/".join([*filter(None, [prefix]), *parts[:depth], name]))
            if text is not None and text.strip().isdigit():
                found.append(int(text))
    return found


def tightened(memory: Memory, limits: list[int]) -> Memory:
    """Return the memory that is left by the limits of a container."""
    limit = min(limits, default=memory.total)
    if limit >= memory.total:
        return memory
    available = None if memory.available is None else min(memory.available, limit)
    return Memory(total=limit, available=available, limited_by="the container's limit")


def look() -> Memory | None:
    """Return the memory of this machine, None where nobody tells."""
    try:
        memory = parse_meminfo(Path("/proc/meminfo").read_text("ascii"))
        membership = Path("/proc/self/cgroup").read_text("utf-8")
    except OSError:
        return _from_system()
    return None if memory is None else tightened(memory, cgroup_limits(membership, _read))


def _read(name: str) -> str | None:
    try:
        return Path("/sys/fs/cgroup", name).read_text("ascii")
    except (OSError, ValueError):
        return None


def _from_system() -> Memory | None:
    if os.name == "nt":
        return _windows()
    try:
        return Memory(total=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def _windows() -> Memory | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ["total", "available", "c", "d", "e", "f", "g"]
            ),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return None
    return Memory(total=int(status.total), available=int(status.available))
