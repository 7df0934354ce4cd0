"""Training runs in a folder, found by what trainers leave behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from uploader_core.builtin.local_source.folder_files import has_weights
from uploader_core.lineage import NAME as FILE
from uploader_core.lineage import STATE
from uploader_core.untrusted_json import read_object

DEPTH = 5
"""Folders below the given one that are looked into."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """A model that a training left.

    Attributes:
        path: The folder to release.
        finished: Seconds since the epoch.
        base: Base model, "" when nothing names it.
        method: ``SFT`` and so on, "" when it is not known.
        loss: The last one that was logged.
        steps: Of the optimiser.
    """

    path: Path
    finished: float
    base: str = ""
    method: str = ""
    loss: float | None = None
    steps: int | None = None


def find_runs(folders: Iterable[Path], depth: int = DEPTH) -> list[TrainingRun]:
    """Find training runs, newest first.

    Of a run that has a final model its checkpoints are left out, of others the last one counts.

    Args:
        folders: Where to look; what is in several of them is found once.
        depth: Folders below them that are looked into.
    """
    models = {model.resolve() for folder in folders for model in _models(folder, depth)}
    chosen: dict[Path, Path] = {}
    for model in models:
        run = model.parent
        best = chosen.get(run)
        if best is None or _rank(model) > _rank(best):
            chosen[run] = model
    several = {m for m in models if _rank(m) == _FINAL}
    runs = [_read(model) for model in {*chosen.values(), *several}]
    return sorted(runs, key=lambda run: (run.finished, str(run.path)), reverse=True)


def describe(run: TrainingRun, width: int = 0) -> str:
    """Return one line about a run.

    Args:
        run: The run.
        width: Columns that there are; a long path loses its beginning. 0 for no limit.
    """
    path = shown(run.path)
    parts = [
        f"{datetime.fromtimestamp(run.finished):%Y-%m-%d %H:%M}",
        run.method,
        run.base,
        "" if run.loss is None else f"loss {run.loss:.3g}",
        "" if run.steps is None else f"{run.steps} steps",
    ]
    line = "  ".join(part for part in parts if part)
    room = max(width - len(line) - 2, 16)
    if width and len(path) > room:
        path = "..." + path[3 - room :]
    return f"{line}  {path}"


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


_FINAL = 1 << 62


def _rank(model: Path) -> int:
    """Order the models of a run: checkpoints by their step, anything else before them."""
    match = _CHECKPOINT.fullmatch(model.name)
    return int(match[1]) if match else _FINAL


def _models(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    names = {entry.name for entry in entries}
    if ".uploader" in names:
        return  # a release
    # A model that a training left, and not one that it started from.
    trained = "config.json" in names and names & {FILE, STATE, "training_args.bin"}
    if ("adapter_config.json" in names or trained) and has_weights(names):
        yield folder
        return
    if depth:
        for entry in entries:
            hidden = entry.name.startswith(".") or entry.name in _SKIPPED
            if not hidden and entry.is_dir(follow_symlinks=False):
                yield from _models(Path(entry.path), depth - 1)


def _read(model: Path) -> TrainingRun:
    lineage = read_object(model / FILE) or read_object(model.parent / FILE)
    results = lineage.get("results")
    results = results if isinstance(results, dict) else {}
    config = read_object(model / "adapter_config.json")
    base = str(config.get("base_model_name_or_path") or lineage.get("base_model") or "")
    state = _state(model)
    losses = [row["loss"] for row in state.get("log_history") or [] if "loss" in row]
    loss = results.get("final_loss", losses[-1] if losses else None)
    steps = results.get("steps", state.get("global_step"))
    return TrainingRun(
        path=model,
        finished=_finished(lineage, model),
        base=Path(base).name if base.startswith((".", "/", "~")) else base,
        method=str(lineage.get("method") or ""),
        loss=float(loss) if isinstance(loss, (int, float)) else None,
        steps=steps if isinstance(steps, int) else None,
    )


def _state(model: Path) -> dict[str, Any]:
    """Read the trainer's state: of the model, of its run, or of the run's last checkpoint."""
    checkpoints = sorted(
        (p for p in model.parent.glob("checkpoint-*") if _CHECKPOINT.fullmatch(p.name)), key=_rank
    )
    for folder in (model, model.parent, *reversed(checkpoints)):
        state = read_object(folder / STATE)
        if state:
            return state
    return {}


def _finished(lineage: dict[str, Any], model: Path) -> float:
    try:
        return datetime.fromisoformat(str(lineage["finished_at"])).timestamp()
    except (KeyError, ValueError):
        return max((p.stat().st_mtime for p in model.glob("*.safetensors")), default=0.0)
