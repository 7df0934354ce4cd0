"""Measure a finished folder against base and adapter: ``fidelity.json`` beside it.

Weights are what the stored codes stand for, and inputs are quantised where servers quantise them,
by compressed-tensors' own functions; all else is computed in float32, so what is measured is what
the scheme costs. A model that transformers cannot compute with is released without the numbers.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence

import torch  # noqa: TID253 - this module computes

from uploader_compressed.card import scheme_in
from uploader_compressed.fidelity.inputs import served_inputs
from uploader_compressed.fidelity.plan import PLUGIN
from uploader_compressed.fidelity.weights import CompressedWeights
from uploader_compressed.settings import MeasureSettings
from uploader_core.plugin import Artifact, PluginError, StepContext
from uploader_merged import open_checkpoint
from uploader_merged.fidelity.compare import compare_with
from uploader_merged.fidelity.contexts import in_contexts
from uploader_merged.fidelity.held_out import held_out
from uploader_merged.fidelity.record import Text, or_without, record_folder
from uploader_merged.fidelity.sums import Seen
from uploader_merged.forward.logits import predict
from uploader_merged.forward.windows import open_tokenizer, windows_of
from uploader_merged.texts import BUILTIN


def measure(context: StepContext) -> Artifact:
    """Measure what an artifact holds, and write the numbers next to it."""
    return or_without(context, _measure)


def _measure(context: StepContext) -> Artifact:
    import transformers

    settings: MeasureSettings = context.settings
    subject = context.inputs[0]
    scheme = scheme_in(subject)
    if scheme is None:
        raise PluginError("the record of the folder does not say which scheme it is of")
    text = held_out(settings, PLUGIN)
    checkpoint = open_checkpoint(context.input("checkpoint"))
    tokenizer = open_tokenizer(subject.path)
    windows = windows_of(
        text, tokenizer, checkpoint.config, settings.measure_contexts, f"--{PLUGIN}-measure-text"
    )
    weights = CompressedWeights(checkpoint, scheme, subject.path)
    scratch = context.work / "logits"
    inputs = served_inputs(scheme, weights.quantised)

    def compute(some: Sequence[torch.Tensor]) -> Sequence[Seen]:
        return compare_with(
            checkpoint.widened(),
            lambda at_end, tell: predict(weights, some, at_end, tell, inputs, weights.quantised),
            some,
            scratch,
            lambda done, total: context.progress("measuring", done, total, "layers"),
        )

    found = in_contexts(context, windows, compute)
    shutil.rmtree(scratch, ignore_errors=True)
    if found is None:
        return context.artifact()
    parameters = sum(math.prod(checkpoint.shape(name)) for name in checkpoint.names)
    measured_on = Text.of(text, builtin=settings.measure_text == BUILTIN, counted=found)
    by = {"transformers": transformers.__version__}
    return record_folder(context, measured_on, found, scheme.name, parameters, by)
