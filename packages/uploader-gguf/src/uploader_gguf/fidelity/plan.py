"""What a measurement costs and needs, known before it runs. Light."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

from uploader_core.plugin import Estimate, Finding, Piece, PlanContext
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.preflight import quantization
from uploader_gguf.settings import MeasureSettings
from uploader_gguf.writing import sizes
from uploader_merged.texts import HELD_OUT, text_path

FOUR_BIT = "merged-4bit"

_SHARD = re.compile(r"-([0-9]{5})-of-[0-9]{5}\.gguf$")

REFERENCE = "F32"
"""Kind of the file that holds base and adapter: llama.cpp rounds what it multiplies a matrix with
to the matrix's own type, so BF16 would be farther from them than their weights are."""

# Two models and a context in memory, beside the logits of half a context.
_RESIDENT = 900 << 20
# Weights that one processor computes with in a second, for all tokens of a context together.
_PACE = 12e6
# Bytes of what was seen of a context, and of its reference.
_SEEN = 24 << 10
# Size of a piece that is worth a worker of its own, and weights of a model, computed with for a
# context, that count as much as one byte of it.
_WORKER, _STARTED = 64 << 20, 96


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
    files = [] if subject == FOUR_BIT else [*_models(context.names.get(subject, ()))]
    models = max(1, len(files))
    copies = 2 if subject == FOUR_BIT else 1
    parameters = sum(prod(tensor.shape) for tensor in model.tensors.values())
    # Next to nothing is written: files are divided where measuring them takes longer than starting
    # a worker, and then each is worth one.
    worth = max(1, min(settings.measure_contexts * parameters // _STARTED, _WORKER))
    return Estimate(
        bytes_written=40_000,  # numbers, and a picture
        bytes_scratch=copies * reference + models * settings.measure_contexts * _SEEN,
        peak_memory=_RESIDENT + 3 * model.largest,
        seconds=15 + (1 + models) * settings.measure_contexts * parameters / _PACE / 8,
        pieces=tuple(Piece(name=file, size=worth) for file in files),
    )


def _models(known: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Yield the names of the files that are measured; of several shards the first one stands."""
    for name, _ in known:
        shard = _SHARD.search(name)
        other = name.startswith("mmproj-") or name.endswith("-imatrix.gguf")
        if not other and (shard is None or int(shard[1]) == 1):
            yield name


def held_out(settings: MeasureSettings) -> Path:
    """Return the text to measure on.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    return text_path(settings.measure_text, "--gguf-measure-text", HELD_OUT)
