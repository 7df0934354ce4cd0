"""Files of nobody in a release folder that programs would load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uploader_core.errors import RefusedError, UploaderError
from uploader_core.manifest_file import describe_foreign, files_in, is_loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uploader_core.planning.plan import Plan
    from uploader_core.release.store import ReleaseStore


def find_strangers_in_release(plan: Plan, store: ReleaseStore) -> list[UploaderError]:
    """Refuse files in the release folder that no run made and that programs would load.

    Args:
        plan: Prepared: its estimates name files that are still to be made.
        store: The release folder.
    """
    errors: list[UploaderError] = []
    for step in plan.artifacts:
        folder = step.folder or "."
        writers = [s.id for s in plan.steps if s.folder == step.folder]
        ours = _names_in(folder, writers, store) | {name for name, _ in step.estimate.files}
        found = sorted(n for n in files_in(store.root / folder) if is_loaded(n, step.loads))
        foreign = [name for name in found if name not in ours]
        if foreign:
            errors.append(
                RefusedError(
                    describe_foreign(foreign, str(store.root / folder)),
                    owner="whoever put it there",
                    safe="nothing in it was touched",
                    next="move it away, or choose a new folder with --output",
                )
            )
    return errors


def _names_in(folder: str, writers: Iterable[str], store: ReleaseStore) -> set[str]:
    """Return the names of the files in an output folder that runs of ours put there.

    Args:
        folder: Relative to the release.
        writers: Ids of the steps that write into it now; others are found by their records.
        store: The release folder.
    """
    names = {file.name for step_id in writers for file in store.units_of(step_id)}
    for record in store.records():
        if record.artifact is not None and record.folder == folder:
            names |= {file.name for file in record.artifact.files}
    return names
