"""Measure some contexts of a text, and put together what several workers measured. Heavy.

A context is computed by itself, so numbers are the same whoever computes it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - windows are tensors

from uploader_core.plugin import StepContext, parse_json
from uploader_merged.fidelity.compare import numbers_of
from uploader_merged.fidelity.held_out import piece_name
from uploader_merged.fidelity.sums import Seen, Sums

Compute = Callable[[Sequence[torch.Tensor]], Sequence[Seen]]
"""Computes contexts, each of shape (1, tokens)."""


def in_contexts(
    context: StepContext, windows: Sequence[torch.Tensor], compute: Compute
) -> dict[str, Any] | None:
    """Measure the contexts that nobody measured yet.

    Args:
        context: Of the step.
        windows: Token ids of all contexts, each of shape (1, tokens).
        compute: Computes some of them.

    Returns:
        As :func:`~uploader_merged.fidelity.compare.numbers_of`; None where the worker has pieces.
    """
    names = [piece_name(number) for number in range(len(windows))]
    if context.pieces:
        mine = [number for number, name in enumerate(names) if name in context.pieces]
        todo = [n for n in mine if _read(context, names[n], windows[n]) is None]
        for n, found in zip(todo, _computed(compute, windows, todo), strict=True):
            _write(context, names[n], windows[n], found)
        return None
    seen = dict(enumerate(map(functools.partial(_read, context), names, windows)))
    todo = [number for number, found in seen.items() if found is None]
    seen |= zip(todo, _computed(compute, windows, todo), strict=True)
    return numbers_of([found for found in seen.values() if found is not None], windows)


def _computed(
    compute: Compute, windows: Sequence[torch.Tensor], numbers: Sequence[int]
) -> Sequence[Seen]:
    return compute([windows[number] for number in numbers]) if numbers else ()


def _write(context: StepContext, name: str, window: torch.Tensor, seen: Seen) -> None:
    ours, theirs = seen
    data = {"text": _digest(window), "reference": ours.to_json(), "model": theirs.to_json()}
    text = json.dumps(data).encode("ascii")
    with context.output.create_part(name) as writer:
        writer.write(hashlib.sha256(text).hexdigest().encode("ascii") + b"\n" + text)


def _read(context: StepContext, name: str, window: torch.Tensor) -> Seen | None:
    """Return what another worker saw; None where it is not there, not whole, or of other text."""
    path: Path | None = context.output.part(name)
    if path is None:
        return None
    digest, _, text = path.read_bytes().partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode("ascii") != digest:
        return None
    data: Mapping[str, Any] = parse_json(text.decode("ascii"))
    if data["text"] != _digest(window):
        return None
    return Sums.from_json(data["reference"]), Sums.from_json(data["model"])


def _digest(window: torch.Tensor) -> str:
    return hashlib.sha256(json.dumps(window.tolist()).encode("ascii")).hexdigest()
