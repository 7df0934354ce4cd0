"""How much memory there is for a run: the machine's, or what a container leaves of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes of memory.

    Attributes:
        total: Of the machine, or the limit of the container.
        available: Without anything being pushed out; None when it is unknown.
        limited_by: What makes it less than the machine's, "" when nothing does.
    """

    total: int
    available: int | None = None
    limited_by: str = ""


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
    """Return the memory of this machine, None where it is unknown."""
    import psutil

    try:
        found = psutil.virtual_memory()
    except (OSError, psutil.Error):
        return None
    memory = Memory(total=found.total, available=found.available)
    try:
        membership = Path("/proc/self/cgroup").read_text("utf-8")
    except OSError:
        return memory
    return tightened(memory, cgroup_limits(membership, _read))


def _read(name: str) -> str | None:
    try:
        return Path("/sys/fs/cgroup", name).read_text("ascii")
    except (OSError, ValueError):
        return None
