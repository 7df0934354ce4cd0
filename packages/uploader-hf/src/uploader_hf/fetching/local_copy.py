"""Of which commit a folder of this machine is a copy, as the Hub's client wrote it down.

The client keeps that in two places: its cache has a folder for each commit,
``models--OWNER--NAME/snapshots/COMMIT`` (https://huggingface.co/docs/huggingface_hub/guides/
manage-cache), and ``hf download --local-dir`` leaves ``.cache/huggingface/download/FILE.metadata``
next to the files: commit, ETag and the time of writing, a line each.
"""

from __future__ import annotations

import re
from pathlib import Path

from uploader_core.plugin import CONFIGS, FetchedSource

_COMMIT = re.compile(r"[0-9a-f]{40}")


def identify(folder: Path) -> FetchedSource | None:
    """Say which commit a model's folder is a copy of, None when it is unknown or it was changed."""
    for place in (folder, folder.parent):  # a model may be in one folder of a repository
        repository = place.parents[1].name if place.parent.name == "snapshots" else ""
        if repository.startswith("models--") and _COMMIT.fullmatch(place.name):
            model_id = repository.removeprefix("models--").replace("--", "/", 1)
            return FetchedSource(path=folder, model_id=model_id, revision=place.name)
    commit = _downloaded(folder)
    return None if commit is None else FetchedSource(path=folder, model_id="", revision=commit)


def _downloaded(folder: Path) -> str | None:
    """Return the commit that all of a folder's configuration and weights were downloaded from."""
    names = [*sorted(CONFIGS), *sorted(path.name for path in folder.glob("*.safetensors"))]
    commits = {_commit_of(folder, name) for name in names if (folder / name).is_file()}
    return commits.pop() if len(commits) == 1 else None


def _commit_of(folder: Path, name: str) -> str | None:
    """Return the commit of one file; None where it was written after it was downloaded."""
    note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    try:
        commit, _, time = note.read_text("utf-8").split()[:3]
        # The client itself allows a second; see read_download_metadata of huggingface_hub.
        unchanged = (folder / name).stat().st_mtime - 1 <= float(time)
    except (OSError, ValueError):
        return None
    return commit if unchanged and _COMMIT.fullmatch(commit) else None
