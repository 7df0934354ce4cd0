"""Processes of a release that wait before a file gets its name, so that a run can be met there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SITE = """
import os, re, sys, time

folder, names, free = (os.environ.get(f"HELD_{n}") for n in ("FOLDER", "NAMES", "FREE"))

def may_pass():
    for number in range(int(free)):
        try:
            os.close(os.open(f"{folder}/free-{number}", os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            pass
    return os.path.exists(f"{folder}/go")

def watch(event, given):
    if event == "os.rename" and re.search(names, os.fspath(given[1])):
        while not may_pass():
            time.sleep(0.02)
        log = os.open(f"{folder}/named", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, os.fsencode(given[1]) + b"\\n")
        os.close(log)

if folder:
    sys.addaudithook(watch)
"""


class HeldFiles:
    """Some files of a release, of which only so many get their names until the others may.

    Args:
        folder: A new one, for what the processes leave each other.
        names: Regular expression of the files' paths.
        free: How many are not held.
    """

    def __init__(self, folder: Path, names: str, free: int) -> None:
        self._folder = folder
        self._names = names
        self._free = free
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SITE, "utf-8")

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which processes hold the files."""
        path = [str(self._folder), environment.get("PYTHONPATH", "")]
        return {
            **environment,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "HELD_FOLDER": str(self._folder),
            "HELD_NAMES": self._names,
            "HELD_FREE": str(self._free),
        }

    def named(self) -> list[Path]:
        """Return the files that got their names, in that order; one twice that was made twice."""
        log = self._folder / "named"
        return [Path(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []

    def let_go(self) -> None:
        """Let every file have its name from now on."""
        (self._folder / "go").touch()
