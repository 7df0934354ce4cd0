"""Documents about all of a release folder that an earlier run made and the newest one did not.

A signature of a run with a key, or checksums of a plugin that was removed since: what they say of
the manifest is no longer so, and who checks them is told that the release was tampered with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from uploader_core.disk.safe_write import child, hash_file
from uploader_core.errors import IntegrityError
from uploader_core.planning.plan import Plan
from uploader_core.release.record import Record
from uploader_core.release.store import ReleaseStore

_ROOT = "."


def remove_outdated(plan: Plan, records: Mapping[str, Record], store: ReleaseStore) -> None:
    """Remove them, unless somebody changed them since.

    Args:
        plan: What was run.
        records: Of its steps, by id.
        store: The release folder.
    """
    ids = {step.id for step in plan.steps}
    folders = {step.folder for step in plan.steps}
    made = {
        file.name
        for record in records.values()
        if record.artifact is not None and record.folder == _ROOT
        for file in record.artifact.files
    }
    for record in store.records():
        if record.artifact is None or record.folder != _ROOT or record.step in ids:
            continue
        for file in record.artifact.files:
            # What is about a format that this run has nothing to do with may still be right.
            below = PurePosixPath(file.name).parent.as_posix()
            if file.name in made or below not in {_ROOT, *folders}:
                continue
            with contextlib.suppress(IntegrityError):  # a record that was tampered with
                path = child(store.root, file.name)
                whole = path.is_file() and not path.is_symlink()
                if whole and hash_file(path) == (file.size, file.sha256):
                    path.unlink()
