"""What lies next to a model that was trained: a better checkpoint, another adapter."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from uploader_core.plugin import Finding, read_object
from uploader_lora.stored import has_weights

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_REFERENCE = {"ref", "reference"}
"""What DPO and its kin save the adapter as that the training is compared with."""


def sibling_findings(folder: Path) -> Iterator[Finding]:
    """Yield what the user may have meant to release instead, or as well.

    Args:
        folder: Of an adapter or a model.
    """
    yield from _better(folder)
    yield from _others(folder)


def _better(folder: Path) -> Iterator[Finding]:
    """Say that the trainer saw a better checkpoint than this one."""
    if not _CHECKPOINT.fullmatch(folder.name):
        return
    state = read_object(folder / _STATE)
    best = state.get("best_model_checkpoint")
    if not isinstance(best, str):
        return
    name = re.split(r"[/\\]", best.rstrip("/\\"))[-1]
    if not _CHECKPOINT.fullmatch(name) or name == folder.name:
        return
    metric = state.get("best_metric")
    value = f" (best_metric {metric:g})" if isinstance(metric, (int, float)) else ""
    there = folder.parent / name
    command = f"uploader run {shlex.quote(str(there))}, if that is the one"
    yield Finding(
        level="warning",
        what=f"{_STATE} says that {name} was the best{value}, and this is {folder.name}",
        next=command if there.is_dir() else None,
    )


def _others(folder: Path) -> Iterator[Finding]:
    """Say that a folder inside holds another adapter, as PEFT saves all but the default one."""
    try:
        inside = sorted(place for place in folder.iterdir() if place.is_dir())
        found = [
            place
            for place in inside
            if place.name not in _REFERENCE
            and not _CHECKPOINT.fullmatch(place.name)
            and (place / "adapter_config.json").is_file()
            and has_weights(place, "adapter_model")
        ]
    except OSError:
        return
    if found:
        yield Finding(
            level="note",
            what=f"other adapters are in {', '.join(place.name for place in found)}, and are no "
            "part of this release",
            next=f"uploader run {shlex.quote(str(found[0]))}",
        )
