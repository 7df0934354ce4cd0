"""Measure a finished folder against base and adapter: ``fidelity.json`` beside it.

The reference is computed by transformers in float32; the folder by mlx-lm on this machine, as it
would answer. A model that one of them cannot compute with is released without the numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np  # noqa: TID253 - this module computes
import torch  # noqa: TID253

from uploader_core.plugin import Artifact, PluginError, RefusedError, StepContext
from uploader_merged import open_checkpoint
from uploader_merged.fidelity.compare import Predict, Progress, compare_with
from uploader_merged.fidelity.contexts import in_contexts
from uploader_merged.fidelity.held_out import held_out
from uploader_merged.fidelity.record import Text, or_without, record_folder
from uploader_merged.fidelity.sums import Seen
from uploader_merged.forward.windows import open_tokenizer, windows_of
from uploader_merged.texts import BUILTIN
from uploader_mlx.architecture.installed import require, version
from uploader_mlx.fidelity.plan import PLUGIN
from uploader_mlx.settings import MeasureSettings


def measure(context: StepContext) -> Artifact:
    """Measure what an artifact holds, and write the numbers next to it."""
    return or_without(context, _measure)


def _measure(context: StepContext) -> Artifact:
    settings: MeasureSettings = context.settings
    subject = context.inputs[0]
    kind, parameters = (subject.metadata.get(name) for name in ("kind", "parameters"))
    if not isinstance(kind, str) or not isinstance(parameters, int):
        raise PluginError("the record of the folder does not say which kind it is of")
    text = held_out(settings, PLUGIN)
    checkpoint = open_checkpoint(context.input("checkpoint"))
    windows = windows_of(
        text,
        open_tokenizer(subject.path),
        checkpoint.config,
        settings.measure_contexts,
        f"--{PLUGIN}-measure-text",
    )
    scratch = context.work / "logits"

    def compute(some: Sequence[torch.Tensor]) -> Sequence[Seen]:
        return compare_with(
            checkpoint.widened(),
            by_mlx_lm(subject.path, some),
            some,
            scratch,
            lambda done, total: context.progress("measuring", done, total, "layers"),
        )

    found = in_contexts(context, windows, compute)
    shutil.rmtree(scratch, ignore_errors=True)
    if found is None:
        return context.artifact()
    measured_on = Text.of(text, builtin=settings.measure_text == BUILTIN, counted=found)
    return record_folder(context, measured_on, found, kind, parameters, {"mlx_lm": version()})


def by_mlx_lm(folder: Path, windows: Sequence[torch.Tensor]) -> Predict:
    """Return what computes windows of tokens with a folder, by mlx-lm.

    Args:
        folder: The model.
        windows: Token ids, each of shape (1, tokens).
    """

    def predict(at_end: Callable[[int, torch.Tensor], None], progress: Progress) -> None:
        require()
        import mlx.core as mx
        from mlx_lm.utils import load_model

        try:
            model, _ = load_model(folder)
            for number, window in enumerate(windows):
                progress(number, len(windows))
                logits = model(mx.array(window.numpy()))[0, window.shape[1] // 2 :]
                at_end(number, torch.from_numpy(np.array(logits.astype(mx.float32))))
            progress(len(windows), len(windows))
        except (RuntimeError, ValueError) as error:
            raise RefusedError(
                f"mlx-lm {version()} cannot compute with it on this machine: {error}",
                next="on a Mac it may",
            ) from error

    return predict
