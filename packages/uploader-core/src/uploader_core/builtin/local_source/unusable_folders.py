"""Folders that nothing can be released from yet: what they are, and the command that helps.

Recognised by the names of their files alone; nothing is opened but a small JSON. What there is to
recognise is in :mod:`uploader_core.builtin.local_source.unusable_table`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from uploader_core.builtin.local_source.folder_files import has_weights, names_in
from uploader_core.builtin.local_source.unusable_table import TABLE, Unusable
from uploader_core.contract.context import FetchedSource
from uploader_core.errors import SourceError
from uploader_core.untrusted_json import read_json

_MOST = 5000
"""Names that are looked at; shards of a large model are some hundreds."""


def refuse_unusable(folder: Path) -> None:
    """Refuse a folder without weights that is known to be something else.

    Raises:
        SourceError: It is, with the command that helps.
    """
    configured, weights = _has(folder)
    found = None if weights else explain(folder, own_config=configured)
    if found is not None:
        raise found


def refuse_unusable_copy(fetched: FetchedSource) -> None:
    """Refuse what was fetched without weights, by the names of what stayed where it is from.

    Raises:
        SourceError: It is known to be something else.
    """
    configured, weights = _has(fetched.path)
    if weights or not fetched.unfetched:
        return
    names = [*names_in(fetched.path), *fetched.unfetched]
    found = explain(Path(fetched.model_id.rpartition("/")[2]), names, weak=not configured)
    if found is not None:
        raise found.replace(
            owner=f"the files of {fetched.model_id}", next=f"download it first; {found.next}"
        )


def explain(
    path: Path, names: list[str] | None = None, *, own_config: bool = False, weak: bool = True
) -> SourceError | None:
    """Say what a folder or a file is that nothing can be released from.

    Args:
        path: The folder or file.
        names: The files of a folder that is not here; None to look.
        own_config: Whether a configuration is in it, and its weights are what is missing.
        weak: Also by what says little.

    Returns:
        The refusal; None for what is not known.
    """
    is_folder = names is not None or path.is_dir()
    if names is None:
        names = list(_names(path)) if is_folder else [path.name]
    if not names and weak:
        return SourceError(
            f"{path} is empty",
            safe="nothing was written",
            next="point at the folder that the trainer saved",
        )
    # Somebody may point into the folder: at the shards themselves, at one step of a checkpoint.
    inside = [f"{path.name}/{name}" for name in names] if is_folder else []
    for sort in TABLE:
        if (own_config and not sort.own_config) or (sort.weak and not weak):
            continue
        for root, found in ((path, names), (path.parent, inside)):
            match = next((m for name in found if (m := re.fullmatch(sort.mark, name))), None)
            if match and (not sort.also or any(re.fullmatch(sort.also, name) for name in found)):
                return _refusal(sort, root if is_folder else path, match, is_folder=is_folder)
    return None


def explain_inside(folder: Path) -> SourceError | None:
    """Say the same of what is in a folder, such as the last checkpoint of a training."""
    for pattern in ("*", "*/*"):
        places = sorted((p for p in folder.glob(pattern) if p.is_dir()), key=_rank, reverse=True)
        for place in places:
            configured, weights = _has(place)
            if configured and weights:
                continue
            found = explain(place, own_config=configured, weak=False)
            if found is not None:
                return found
    return None


def _has(folder: Path) -> tuple[bool, bool]:
    """Return whether a folder has a configuration, and whether it has weights."""
    names = names_in(folder)
    return "config.json" in names or "adapter_config.json" in names, has_weights(names)


def _rank(folder: Path) -> tuple[bool, list[int], str]:
    """Order folders: a final model after checkpoints, of those the number counts."""
    numbers = [int(n) for n in re.findall(r"\d+", folder.name)]
    return not folder.name.startswith("checkpoint-"), numbers, str(folder)


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of files in a folder and two below it."""
    left = _MOST
    queue = [(folder, "")]
    for place, prefix in queue:
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries[:left]:
            left -= 1
            name = prefix + entry.name
            if not _is_folder(entry):
                yield name
            elif name.count("/") < 2:
                queue.append((Path(entry.path), f"{name}/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _refusal(sort: Unusable, root: Path, match: re.Match[str], *, is_folder: bool) -> SourceError:
    where = match.groupdict().get("where") or ("" if "where" in match.re.groupindex else match[0])
    mark = root / where if is_folder else root
    out = root.with_name(f"{root.name if is_folder else root.stem}-whole")
    values = {
        "mark": shlex.quote(str(mark)),
        "root": shlex.quote(str(root)),
        "out": shlex.quote(str(out)),
        "model": _mlx_model(root),
        "root_path": str(root),
        "out_path": str(out),
    }
    return SourceError(
        sort.what.format(**{**values, "mark": mark, "root": root}),
        owner=str(mark),
        safe="nothing was written",
        next=sort.next.format(**values),
    )


def _mlx_model(root: Path) -> str:
    """Return the base that MLX wrote down, MODEL where it is not known."""
    try:
        config = read_json(root / "adapter_config.json")
    except (OSError, ValueError):
        return "MODEL"
    model = config.get("model") if isinstance(config, dict) else None
    return shlex.quote(model) if isinstance(model, str) and model else "MODEL"
