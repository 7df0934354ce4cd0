"""What a measurement costs and needs, known before it runs. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from math import prod
from pathlib import Path

from uploader_core.plugin import Estimate, Finding, PlanContext
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.preflight import quantization
from uploader_gguf.settings import MeasureSettings
from uploader_gguf.writing import sizes
from uploader_merged.texts import HELD_OUT, text_path

FOUR_BIT = "merged-4bit"

REFERENCE = "F32"
"""Kind of the file that holds base and adapter: llama.cpp rounds what it multiplies a matrix with
to the matrix's own type, so BF16 would be farther from them than their weights are."""

# Two models and a context in memory, beside the logits of half a context.
_RESIDENT = 900 << 20
# Weights that one processor computes with in a second, for all tokens of a context together.
_PACE = 12e6


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse a text that is no text; say what cannot be measured.

    Raises:
        RefusedError: There is no such text.
    """
    settings: MeasureSettings = context.settings
    held_out(settings)
    config = open_weights(context.input("checkpoint")).config
    for finding in quantization(config):
        yield dataclasses.replace(finding, level="warning", what=f"not measured: {finding.what}")


def estimate(context: PlanContext) -> Estimate:
    """Count the scratch files and the time."""
    settings: MeasureSettings = context.settings
    weights = open_weights(context.input("checkpoint"))
    model = sizes.describe(weights)
    reference = sizes.file_bytes(model, QUANTS[REFERENCE])
    subject = context.inputs[0].kind
    known = context.names.get(subject, ())
    models = 1 if subject == FOUR_BIT else max(1, len(known))
    copies = 2 if subject == FOUR_BIT else 1
    parameters = sum(prod(tensor.shape) for tensor in model.tensors.values())
    return Estimate(
        bytes_written=40_000,  # numbers, and a picture
        bytes_scratch=copies * reference,
        peak_memory=_RESIDENT + 3 * model.largest,
        seconds=15 + (1 + models) * settings.measure_contexts * parameters / _PACE / 8,
    )


def held_out(settings: MeasureSettings) -> Path:
    """Return the text to measure on.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    return text_path(settings.measure_text, "--gguf-measure-text", HELD_OUT)
