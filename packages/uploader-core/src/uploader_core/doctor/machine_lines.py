"""What ``uploader doctor`` says of the machine itself, from facts that may be those of another."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from uploader_core.contract.specs import Diagnosis
from uploader_core.human_text import size_text
from uploader_core.machine import filesystems, gpu, host, memory
from uploader_core.machine.file_calls import set_direct

_LITTLE_DISK = 20 * 10**9
_LITTLE_MEMORY = 3 * 10**9


def machine_lines(facts: host.Host) -> Iterator[Diagnosis]:
    """Describe the system; the facts may be those of another."""
    yield Diagnosis(name="Python", level="ok", what=f"{facts.python}, {sys.executable}")
    if facts.wsl == 1:
        yield Diagnosis(
            name="system",
            level="warn",
            what="WSL 1: files are slow, and it has no GPU",
            fix="wsl --set-version DISTRIBUTION 2   (in PowerShell)",
        )
    elif facts.wsl:
        yield Diagnosis(
            name="system", level="ok", what=f"WSL 2, kernel {facts.release}; keep models in ~"
        )
    else:
        yield Diagnosis(name="system", level="ok", what=f"{facts.system} {facts.release}".strip())
    if facts.system == "Windows" and not facts.long_paths:
        yield Diagnosis(
            name="long paths",
            level="warn",
            what="paths are limited to 259 characters here; long model names fail",
            fix="set LongPathsEnabled to 1 in HKLM\\SYSTEM\\CurrentControlSet\\Control\\FileSystem",
        )


def terminal_lines() -> Iterator[Diagnosis]:
    """Describe how text is shown."""
    encoding = (sys.stdout.encoding or "unknown").lower()
    if encoding.replace("-", "") == "utf8":
        yield Diagnosis(name="terminal", level="ok", what="UTF-8")
        return
    yield Diagnosis(
        name="terminal",
        level="warn",
        what=f"{encoding}: characters that it does not have are shown as ?; files are UTF-8 anyway",
        fix="PYTHONUTF8=1" if os.name != "nt" else "chcp 65001, or use Windows Terminal",
    )


def disk_lines(folder: Path) -> Iterator[Diagnosis]:
    """Describe where a release and temporary files would be written."""
    direct = takes_direct(folder)
    yield disk_line(
        "here", folder, filesystems.find_mount(folder), filesystems.free_bytes(folder), direct
    )
    temporary = Path(tempfile.gettempdir())
    if filesystems.device_of(temporary) != filesystems.device_of(folder):
        yield disk_line(
            "temporary",
            temporary,
            filesystems.find_mount(temporary),
            filesystems.free_bytes(temporary),
            None,
            little=100 * 10**6,
        )


def disk_line(
    name: str,
    folder: Path,
    mount: filesystems.Mount | None,
    free: int | None,
    direct: bool | None,
    *,
    little: int = _LITTLE_DISK,
) -> Diagnosis:
    """Describe one file system.

    Args:
        name: Of the line.
        folder: What was looked at.
        mount: What it is on, None where it is unknown.
        free: Bytes.
        direct: Whether files can be written past the page cache.
        little: Bytes below which it is worth a warning.
    """
    kind = "" if mount is None else f"{mount.kind} ({mount.speed}), "
    what = f"{folder}: {kind}{'?' if free is None else size_text(free)} free"
    if direct is not None:
        what += ", O_DIRECT" if direct else ", no O_DIRECT"
    slow = None if mount is None else filesystems.slow_because(mount)
    if slow is not None:
        return Diagnosis(
            name=name,
            level="warn",
            what=f"{what}; {slow}",
            fix="--output ~/FOLDER, on a disk of this system",
        )
    if free is not None and free < little:
        return Diagnosis(
            name=name,
            level="warn",
            what=what,
            fix="free some space, or --output on another disk; `uploader plan` says what is needed",
        )
    return Diagnosis(name=name, level="ok", what=what)


def memory_lines(found: memory.Memory | None) -> Iterator[Diagnosis]:
    """Describe the memory."""
    if found is None:
        yield Diagnosis(name="memory", level="warn", what="this system does not report it")
        return
    room = found.total if found.available is None else found.available
    what = f"{size_text(found.total)}, {size_text(room)} available"
    if found.limited_by:
        what += f" ({found.limited_by})"
    if room < _LITTLE_MEMORY:
        yield Diagnosis(
            name="memory",
            level="warn",
            what=what,
            fix="close other programs; in WSL, raise memory= in %UserProfile%\\.wslconfig",
        )
    else:
        yield Diagnosis(name="memory", level="ok", what=what)


def gpu_lines(report: gpu.Report) -> Iterator[Diagnosis]:
    """Describe the GPUs; a machine without one is no fault."""
    if report.why:
        fix = None
        if "not installed" in report.why:
            fix = 'pip install "uploader-core[gpu]", if there is a GPU of NVIDIA'
        yield Diagnosis(name="GPU", level="ok", what=f"{report.why}; none is needed", fix=fix)
        return
    if not report.gpus:
        what = f"driver {report.driver}, and no GPU that this process may use"
        yield Diagnosis(name="GPU", level="warn", what=what, fix="unset CUDA_VISIBLE_DEVICES")
    for found in report.gpus:
        what = f"{gpu.describe(found)}, driver {report.driver}"
        if 4 * found.free < found.total:
            held = ", ".join(str(pid) for pid, _ in found.holders) or "another process"
            yield Diagnosis(
                name=f"GPU {found.index}",
                level="warn",
                what=what,
                fix=f"end what holds it: {held}; a step that needs it waits for it",
            )
        else:
            yield Diagnosis(name=f"GPU {found.index}", level="ok", what=what)


def takes_direct(folder: Path) -> bool | None:
    """Return whether files can be written past the page cache; nothing is left behind.

    Returns:
        None where that cannot be found out without leaving a file.
    """
    if not (hasattr(os, "O_DIRECT") and hasattr(os, "O_TMPFILE")):
        return None
    try:
        handle = os.open(filesystems.existing(folder.absolute()), os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:
        return None
    try:
        return set_direct(handle, True)
    finally:
        os.close(handle)
