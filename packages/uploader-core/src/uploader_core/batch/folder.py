"""A folder whose subfolders are fine-tunes, as a batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uploader_core.batch.wanted import Wanted
from uploader_core.builtin.local_source.folder_files import has_weights
from uploader_core.release.record import INTERNAL


def find_wanted(
    folder: Path, values: Mapping[str, object], settings: Mapping[str, Mapping[str, object]]
) -> tuple[tuple[Wanted, ...], dict[str, str]]:
    """Return a release for each direct subfolder, and what is none with the reason.

    Args:
        folder: Of the fine-tunes.
        values: From the command line, for all of them.
        settings: Of plugins, from there.
    """
    wanted, left_out = [], {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if (path / INTERNAL).is_dir():
            left_out[str(path)] = "a release that uploader made"
            continue
        names = {entry.name for entry in path.iterdir()}
        if not names & {"adapter_config.json", "config.json"} or not has_weights(names):
            left_out[str(path)] = "neither an adapter nor a model: no configuration with weights"
            continue
        wanted.append(Wanted(where=str(path), source=str(path), values=values, settings=settings))
    return tuple(wanted), left_out
