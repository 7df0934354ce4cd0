"""The modules that sentence-transformers puts around a transformer: pooling, dense layers, prompts.

``modules.json`` lists them in order, each with a type and a folder (``1_Pooling``), which holds its
``config.json`` and, for layers with weights, ``model.safetensors``. Without them the same weights
give other vectors: the library then takes the mean over the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from uploader_core.plugin import Finding, SourceError, read_json

MODULES = "modules.json"

FOLDER = re.compile(r"(?:[a-z]+_)?\d{1,2}_[A-Z]\w*", re.ASCII)
"""A module's folder: its place in the order and its class."""

_LIBRARY = "sentence_transformers."
_WITHOUT_FILES = ("Transformer", "Normalize", "Dropout")


def module_folders(modules: Path) -> dict[str, str]:
    """Return the type of each module by its folder; the one at the root is left out.

    Args:
        modules: A ``modules.json``.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        data = read_json(modules)
        if not isinstance(data, list):
            raise ValueError("it is not a list")
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{modules.name} cannot be read: {error}",
            owner=str(modules),
            safe="nothing was written",
            next=f"download or save {modules.name} again",
        ) from error
    return {
        entry["path"].strip("/"): str(entry.get("type", ""))
        for entry in data
        if isinstance(entry, dict) and isinstance(entry.get("path"), str) and entry["path"]
    }


def fitting_modules(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return files without those of modules that the ``modules.json`` among them does not name."""
    folders = module_folders(files[MODULES]) if MODULES in files else {}
    return {
        name: path
        for name, path in files.items()
        if not FOLDER.fullmatch(top := name.split("/")[0]) or top in folders
    }


def module_findings(files: Mapping[str, Path], folders: tuple[Path, ...]) -> Iterator[Finding]:
    """Refuse modules that would not arrive: the model would load and give other vectors.

    Args:
        files: What is released next to the weights, by name.
        folders: Where it comes from.
    """
    if MODULES not in files:
        return
    for folder, kind in module_folders(files[MODULES]).items():
        if not kind.startswith(_LIBRARY):
            yield Finding(
                level="error",
                what=f"{MODULES} names {kind or folder}, a class that is not of "
                "sentence-transformers; its code is not released with the model",
                next="release the model with the library's own modules, or copy it by hand",
            )
            continue
        pickled = [
            name
            for place in folders
            if (path := place / folder).is_dir()
            for name in sorted(p.name for p in path.glob("*.bin"))
        ]
        inside = [name for name in files if PurePosixPath(name).parts[0] == folder]
        if pickled and not any(name.endswith(".safetensors") for name in inside):
            yield Finding(
                level="error",
                what=f"{folder}/{pickled[0]} holds the weights of a module as a pickle, which is "
                "not opened",
                next='save it as safetensors: python -c "from sentence_transformers import '
                "SentenceTransformer as S; S('FOLDER').save_pretrained('FOLDER')\"",
            )
        elif not inside and kind.rsplit(".", 1)[-1] not in _WITHOUT_FILES:
            yield Finding(
                level="error",
                what=f"{MODULES} names {folder} ({kind}), which is not there",
                next="save the model again with sentence-transformers' save_pretrained",
            )
