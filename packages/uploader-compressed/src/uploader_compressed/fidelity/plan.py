"""What a measurement costs and needs, known before it runs. Light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from uploader_compressed.settings import MeasureSettings
from uploader_core.plugin import Estimate, Finding, PlanContext
from uploader_merged import open_checkpoint
from uploader_merged.texts import HELD_OUT, text_path

MEASURE_OPTION = "--compressed-measure-text"

_TORCH = 700 << 20
"""An interpreter with torch and transformers, beyond one without."""

_PACE = 8e9
"""Multiplications of one processor in a second."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse a text that is no text, or none of it.

    Raises:
        RefusedError: There is no such text.
    """
    held_out(context.settings)
    if context.settings.measure_contexts < 1:
        yield Finding(
            level="error",
            what=f"{context.settings.measure_contexts} contexts of text are nothing to measure on",
            next="--compressed-measure-contexts 1 or more, or leave --measure out",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count the logits that are kept meanwhile, and the time."""
    settings: MeasureSettings = context.settings
    checkpoint = open_checkpoint(context.input("checkpoint"))
    sizes = [math.prod(checkpoint.shape(name)) for name in checkpoint.names]
    vocabulary = max(checkpoint.shape(name)[0] for name in checkpoint.names)
    tokens = settings.measure_contexts * 512
    return Estimate(
        bytes_written=20_000,
        bytes_scratch=2 * vocabulary * tokens,
        # Float32 of the largest matrix, which is the head, or of a block; and logits of a text.
        peak_memory=_TORCH + 10 * max(sizes) + 12 * 256 * vocabulary,
        seconds=20 + 2 * tokens * sum(sizes) / _PACE,
    )


def held_out(settings: MeasureSettings) -> Path:
    """Return the text to measure on.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    return text_path(settings.measure_text, MEASURE_OPTION, HELD_OUT)
