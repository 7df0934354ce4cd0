"""Which system this is: Linux, Windows, WSL, and how its terminals and pipes write text."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """Facts about the system.

    Attributes:
        system: ``Linux``, ``Windows`` or ``Darwin``.
        release: Its version, or that of the kernel.
        wsl: 1 or 2 inside the Windows Subsystem for Linux, 0 elsewhere.
        python: Version of Python.
        long_paths: Whether paths may be longer than 259 characters.
    """

    system: str
    release: str = ""
    wsl: int = 0
    python: str = ""
    long_paths: bool = True


def wsl_version(kernel: str, environment: Mapping[str, str]) -> int:
    """Tell WSL 1 and 2 from each other and from everything else by the kernel's name.

    Args:
        kernel: ``/proc/sys/kernel/osrelease``.
        environment: Variables; a kernel of one's own has another name.
    """
    if re.search(r"microsoft-standard|WSL2", kernel):
        return 2
    if "Microsoft" in kernel:
        return 1
    return 2 if "WSL_INTEROP" in environment else 0


def stream_options(
    system: str, *, terminal: bool, encoding: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return how standard output and error should be set, as arguments of ``reconfigure``.

    A pipe of Windows is cp1252 unless somebody says otherwise, which turns other characters of a
    name into question marks and JSON into something else. A terminal shows what its code page has.

    Args:
        system: As in :class:`Host`.
        terminal: Whether it is one.
        encoding: As Python chose it.
        environment: Variables.
    """
    options = {"errors": "replace"}
    chosen = environment.get("PYTHONIOENCODING") or environment.get("PYTHONUTF8") == "1"
    if system == "Windows" and not terminal and not chosen and encoding.lower() != "utf-8":
        options["encoding"] = "utf-8"
    return options


def look() -> Host:
    """Return the facts of this system."""
    system = platform.system()
    kernel = ""
    if system == "Linux":
        try:
            kernel = Path("/proc/sys/kernel/osrelease").read_text("ascii").strip()
        except OSError:
            kernel = platform.release()
    return Host(
        system=system,
        release=kernel or platform.release(),
        wsl=wsl_version(kernel, os.environ) if kernel else 0,
        python=platform.python_version(),
        long_paths=_long_paths() if system == "Windows" else True,
    )


def _long_paths() -> bool:
    if sys.platform != "win32":
        return True
    import winreg

    try:
        place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False
