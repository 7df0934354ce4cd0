"""Where two runs of one step differ, and why: for a sentence that an author can act upon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from uploader_core.artifact import Artifact
from uploader_kit.conditions import CAUSES, Conditions

_AROUND = 24
"""Bytes of a difference that are shown."""


def difference(one: Artifact, other: Artifact) -> str | None:
    """Say where two artifacts of one step differ; None when they do not.

    Args:
        one: Of the first run; its files are still there.
        other: Of the second one.
    """
    first, second = ({f.name: f.sha256 for f in a.files} for a in (one, other))
    for name in sorted({*first, *second}):
        if name not in first or name not in second:
            which = "first" if name in first else "second"
            return f"{name} was made in the {which} run only"
        if first[name] != second[name]:
            return f"{name} differs {place(one.path / name, other.path / name)}"
    for name in sorted({*one.metadata, *other.metadata}):
        values = [_told(artifact, name) for artifact in (one, other)]
        if values[0] != values[1]:
            return f"the metadata {name!r} is {values[0]} in one run and {values[1]} in the next"
    return None


def place(one: Path, other: Path) -> str:
    """Say from which byte on two files differ, and what is there."""
    first, second = one.read_bytes(), other.read_bytes()
    shorter = min(len(first), len(second))
    at = next((n for n in range(shorter) if first[n] != second[n]), shorter)
    shown = [data[max(0, at - 4) : at + _AROUND] for data in (first, second)]
    size = f" of {len(first):,}"
    if len(first) != len(second):
        size = f" ({len(first):,} bytes long, then {len(second):,})"
    return f"from byte {at:,}{size} on: {shown[0]!r} in one run and {shown[1]!r} in the next"


def cause(run: Callable[[Conditions], Artifact], reference: Artifact) -> str:
    """Find out by what two runs differ: each condition is changed alone.

    Args:
        run: Runs the step anew under some conditions, each time in another folder.
        reference: What it made under the plain ones.
    """
    for conditions, meaning in CAUSES:
        if difference(reference, run(conditions)) is not None:
            return meaning
    return (
        "it takes another clock, host name and hash seed together; leave out times, names of "
        "machines and people, and unordered sets"
    )


def _told(artifact: Artifact, name: str) -> str:
    """Return a member of the metadata without the artifact's own folder, which differs."""
    text = json.dumps(artifact.metadata.get(name), sort_keys=True, ensure_ascii=False, default=str)
    return text.replace(str(artifact.path), "<output>")[:200]
