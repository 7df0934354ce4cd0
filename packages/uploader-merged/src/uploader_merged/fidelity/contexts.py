"""Measure some contexts of a text, and put together what several workers measured. Heavy.

A context is computed by itself, so numbers are the same whoever computes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch  # noqa: TID253 - windows are tensors

from uploader_core.plugin import StepContext
from uploader_merged.fidelity.compare import numbers_of
from uploader_merged.fidelity.held_out import piece_name
from uploader_merged.fidelity.kept import keep, read_kept
from uploader_merged.fidelity.sums import Seen

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
    texts = [*map(_digest, windows)]
    if context.pieces:
        mine = [number for number, name in enumerate(names) if name in context.pieces]
        todo = [n for n in mine if read_kept(context, names[n], texts[n]) is None]
        for n, found in zip(todo, _computed(compute, windows, todo), strict=True):
            keep(context, names[n], texts[n], found)
        return None
    seen = {n: read_kept(context, name, texts[n]) for n, name in enumerate(names)}
    todo = [number for number, found in seen.items() if found is None]
    seen |= zip(todo, _computed(compute, windows, todo), strict=True)
    return numbers_of([found for found in seen.values() if found is not None], windows)


def _computed(
    compute: Compute, windows: Sequence[torch.Tensor], numbers: Sequence[int]
) -> Sequence[Seen]:
    return compute([windows[number] for number in numbers]) if numbers else ()


def _digest(window: torch.Tensor) -> str:
    return hashlib.sha256(json.dumps(window.tolist()).encode("ascii")).hexdigest()
