"""The text that is measured on: chosen, checked, and what it costs. Light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from uploader_core.plugin import Estimate, Finding, Piece
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.texts import HELD_OUT, text_path

_TORCH = 700 << 20
"""An interpreter with torch and transformers, beyond one without."""

_PACE = 8e9
"""Multiplications of one processor in a second."""

_WORKER = 64 << 20
"""Size of a piece that is worth a worker of its own."""

_STARTED = 32
"""Weights of a model, computed with for a context, that count as much as a byte of a piece."""


class Measured(Protocol):
    """What the user chose of ``--measure``."""

    @property
    def measure_text(self) -> str:
        """A file, or ``builtin``."""

    @property
    def measure_contexts(self) -> int:
        """Most contexts."""


def held_out(settings: Measured, plugin: str) -> Path:
    """Return the text to measure on.

    Args:
        settings: The user's.
        plugin: Whose they are.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    return text_path(settings.measure_text, f"--{plugin}-measure-text", HELD_OUT)


def check_text(settings: Measured, plugin: str) -> Iterator[Finding]:
    """Refuse a text that is no text, or none of it.

    Args:
        settings: The user's.
        plugin: Whose they are.

    Raises:
        RefusedError: There is no such text.
    """
    held_out(settings, plugin)
    if settings.measure_contexts < 1:
        yield Finding(
            level="error",
            what=f"{settings.measure_contexts} contexts of text are nothing to measure on",
            next=f"--{plugin}-measure-contexts 1 or more, or leave --measure out",
        )


def piece_name(number: int) -> str:
    """Return the name of a context of the text as a piece of the step's work."""
    return f"context-{number + 1:05d}"


def estimate_of(checkpoint: Checkpoint, settings: Measured) -> Estimate:
    """Count the logits that are kept meanwhile, and the time.

    Args:
        checkpoint: Base and adapter.
        settings: The user's.
    """
    sizes = [math.prod(checkpoint.shape(name)) for name in checkpoint.names]
    vocabulary = max(checkpoint.shape(name)[0] for name in checkpoint.names)
    tokens = settings.measure_contexts * 512
    # Nothing to speak of is written: contexts are divided where computing them takes longer than
    # transformers to load, and then each is worth a worker.
    worth = max(1, min(sum(sizes) // _STARTED, _WORKER))
    return Estimate(
        bytes_written=20_000,
        bytes_scratch=2 * vocabulary * tokens,
        # Float32 of the largest matrix, which is the head, or of a block; and logits of a text.
        peak_memory=_TORCH + 10 * max(sizes) + 12 * 256 * vocabulary,
        seconds=20 + 2 * tokens * sum(sizes) / _PACE,
        pieces=tuple(
            Piece(name=piece_name(n), size=worth) for n in range(settings.measure_contexts)
        ),
    )
