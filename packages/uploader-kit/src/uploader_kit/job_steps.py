"""The plugin whose steps are run as jobs when an executor is tried.

It writes three small files, and leaves marks in a folder beside the release: who works on what.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import (
    Artifact,
    RefusedError,
    SaveSpec,
    StepContext,
    hookimpl,
    setting,
)

PLUGIN, KIND, VERSION = "kit-jobs", "kit.jobs", "1"
FILES = ("one.bin", "two.bin", "three.bin")
REFUSAL = "the moon is in the wrong quarter"
LIMIT = 600.0
"""Seconds for which a step waits to be let go, so that none is left over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the step of a trial does.

    Attributes:
        marks: Folder for its marks.
        waits_at: File before which it waits until it is let go; "" for none.
        starts: Whether it starts a program before it waits.
        refuses: Whether it ends with an error of its own words.
    """

    marks: str = setting("", help="folder for marks")
    waits_at: str = setting("", help="file before which it waits")
    starts: bool = setting(False, help="start a program that waits as well")
    refuses: bool = setting(False, help="end with an error")


@hookimpl
def uploader_savers() -> Iterable[SaveSpec]:
    """Register the step."""
    yield SaveSpec(
        name="jobs",
        summary="three files, for trials of executors",
        consumes=("adapter",),
        produces=KIND,
        run=f"{__name__}:make",
        settings=Settings,
    )


class Marks:
    """A folder in which steps and the kit leave marks for each other.

    Args:
        folder: It exists for as long as the trial lasts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, what: str, name: str = "") -> None:
        """Leave a mark of this process: ``making-1234-1`` and its number.

        Args:
            what: What is done.
            name: Of what; each process leaves one mark of each.
        """
        (self.folder / f"{what} {os.getpid()} {name}".rstrip()).touch()

    def of(self, what: str) -> list[tuple[int, str]]:
        """Return the marks of a kind: process and name."""
        found = (path.name.split(" ", 2) for path in self.folder.glob(f"{what} *"))
        return sorted((int(pid), "".join(name)) for _, pid, *name in found)

    def let_go(self) -> None:
        """Let every step go on that waits, or will."""
        (self.folder / "go").touch()

    def wait(self) -> None:
        """Wait until the kit lets go.

        Raises:
            TimeoutError: The trial is over.
        """
        until = time.monotonic() + LIMIT
        while not (self.folder / "go").exists():
            if not self.folder.exists() or time.monotonic() > until:
                raise TimeoutError("nobody let the step of the trial go on")
            time.sleep(0.02)


def make(context: StepContext) -> Artifact:
    """Write the files, those of an earlier attempt excepted."""
    settings: Settings = context.settings
    marks = Marks(Path(settings.marks))
    marks.leave("working")
    if settings.refuses:
        raise RefusedError(REFUSAL, owner="the sky", safe="the moon is well", next="wait a week")
    if settings.starts:
        script = "import os, sys, uploader_kit.job_steps as s, pathlib as p\n"
        script += "m = s.Marks(p.Path(sys.argv[1])); m.leave('started'); m.wait()"
        subprocess.Popen([sys.executable, "-c", script, settings.marks])
    for n, name in enumerate(FILES):
        if context.output.done(name):
            continue
        marks.leave("making", name)
        if settings.waits_at == name:
            context.progress("waiting to be let go", n, len(FILES))
            marks.leave("waiting")
            marks.wait()
        context.output.write(name, name * 1000, role="weights")
        context.progress("writing", n + 1, len(FILES))
    return context.artifact()


def write_distribution(folder: Path) -> None:
    """Write metadata by which this module is an installed plugin where the folder is on the path.

    Args:
        folder: It is made.
    """
    info = folder / f"uploader_kit_jobs-{VERSION}.dist-info"
    with contextlib.suppress(FileExistsError):
        info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: uploader-kit-jobs\nVersion: {VERSION}\n"
        "Summary: steps for trials of executors\nRequires-Dist: uploader-core>=0.1,<1\n",
        "utf-8",
    )
    (info / "entry_points.txt").write_text(
        f"[uploader_core.plugins]\n{PLUGIN} = {__name__}\n"
        f"[uploader_core.artifacts]\n{KIND} = {__name__}\n",
        "utf-8",
    )
