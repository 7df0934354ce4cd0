"""What a step did to folders, looked at from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from uploader_core.artifact import Artifact
from uploader_core.errors import IntegrityError, PluginError
from uploader_core.human_text import names_text
from uploader_core.machine.filesystems import stamp_of
from uploader_core.manifest_file import files_in
from uploader_core.planning.plan import PlannedStep

_Stamps = dict[Path, tuple[int, int, int] | None]


@contextlib.contextmanager
def left_alone(
    step: PlannedStep, inputs: Iterable[Artifact], sources: Iterable[Artifact]
) -> Iterator[None]:
    """Refuse what a step made while a file that it was made from became another one.

    Sizes, times and inodes tell it, without a byte being read.

    Args:
        step: Runs in the body.
        inputs: What it consumes.
        sources: Of the run; what a virtual input names is among them.

    Raises:
        IntegrityError: A file changed or went away.
    """
    files = [a.path / file.name for a in (*inputs, *sources) for file in a.files]
    before = _look(files)
    yield
    after = _look(files)
    changed = [path.name for path in before if before[path] != after[path]]
    if changed:
        raise IntegrityError(
            f"{names_text(changed)} changed while {step.id} worked with it",
            owner=f"{step.plugin.entry.owner}, or whoever else wrote there",
            safe="nothing that was made of it counts as released",
            next="restore it and run the same command again; if it stays, tell the author of "
            f"{step.plugin.entry.distribution}: a step leaves its inputs alone",
        )


def check_folder(step: PlannedStep, artifact: Artifact, before: set[str]) -> None:
    """Refuse an artifact without files, without one that was announced, or with files beside it.

    Args:
        step: Made it.
        artifact: As it was returned.
        before: Names of the files that were in its folder before.

    Raises:
        PluginError: As said.
    """
    made = {file.name for file in artifact.files}
    surplus = {*files_in(artifact.path)} - before - made
    announced = {name for name, _ in step.estimate.files} if step.estimate.exact else set()
    if surplus:
        what = f"{step.id} wrote {names_text(sorted(surplus))} without context.output"
    elif announced - made:
        names = names_text(sorted(announced - made))
        what = f"{step.id} did not make {names}, which its exact estimate names"
    elif not artifact.files:
        what = f"{step.id} made no file"
    else:
        return
    raise PluginError(
        what,
        owner=step.plugin.entry.owner,
        safe="other steps are not affected; nothing of it counts as released",
        next=f"leave it out, or tell the author of {step.plugin.entry.distribution}",
    )


def _look(files: Iterable[Path]) -> _Stamps:
    stamps: _Stamps = {}
    for path in files:
        try:
            stamps[path] = stamp_of(path)
        except OSError:
            stamps[path] = None
    return stamps
