"""The files of a source folder, and how a release is called after one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from uploader_core.artifact import ArtifactFile

# Only these are looked at: a trainer's folder also holds optimizer states and pickles.
_SUFFIXES = {".safetensors", ".json", ".model", ".jinja", ".txt", ".tiktoken", ".md"}
_PARTS = re.compile(r"additional_chat_templates|(?:[a-z]+_)?\d{1,2}_[A-Z]\w*", re.ASCII)
"""Folders with parts of a model: templates, and modules by number and class (``1_Pooling``)."""

_GENERIC = re.compile(
    r"(final[-_]?model|final|adapter|lora|model|output|outputs|result|checkpoint-\d+|best)", re.I
)

_WEIGHTS = re.compile(
    r"(?:adapter_)?model(?:-\d+-of-\d+)?\.safetensors(?:\.index\.json)?"
    r"|(?:pytorch|adapter)_model(?:-\d+-of-\d+)?\.bin(?:\.index\.json)?"
)


def has_weights(names: Iterable[str]) -> bool:
    """Return whether a file has a name that weights have next to a configuration.

    Pickles count: why they are not taken is the format's to say.
    """
    return any(_WEIGHTS.fullmatch(name) for name in names)


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder; nothing where it cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def list_files(folder: Path) -> tuple[ArtifactFile, ...]:
    """List a source folder's files that a release can depend on, without reading them."""
    inside = [p for p in folder.iterdir() if p.is_dir() and _PARTS.fullmatch(p.name)]
    return tuple(
        ArtifactFile(
            name=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256="",
            role="weights" if path.suffix == ".safetensors" else "config",
        )
        for place in (folder, *sorted(inside))
        for path in sorted(place.iterdir())
        if path.suffix in _SUFFIXES and path.is_file()
    )


def default_name(folder: Path) -> str:
    """Name a release after its source, skipping names that every trainer uses."""
    for part in (folder, *folder.parents):
        if part.name and not _GENERIC.fullmatch(part.name):
            return re.sub(r"[^\w.-]+", "-", part.name).strip("-.") or "model"
    return "model"
