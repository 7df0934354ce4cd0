"""A checkpoint as GGUF in full precision, written once for all workers of a step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from uploader_core.plugin import Artifact, OutputFolder, StepContext, hold
from uploader_gguf.fidelity.plan import REFERENCE
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.llama_cpp.converter import plan
from uploader_gguf.llama_cpp.converter_folder import prepare_folder
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.settings import GgufSettings, MeasureSettings
from uploader_gguf.tokenizer import vocabulary
from uploader_gguf.writing.layout import lay_out
from uploader_gguf.writing.writer import write


def unquantised(
    context: StepContext, checkpoint: Artifact, name: str, *, exact: bool = False
) -> Path:
    """Return where a checkpoint lies as GGUF.

    Workers that have pieces find it with the parts of the step, where the first of them writes it
    while the others wait: it is as large as all that they measure. So does the worker that comes
    after them. Where nothing is divided it is scratch.

    Args:
        context: Of the step.
        checkpoint: What to write.
        name: Of the file.
        exact: With the sums of base and adapter as they are, before a merge rounds them.
    """
    file, place = f"{name}.gguf", context.output.parts / name
    shared = OutputFolder(place, context.work / name, place)
    if shared.done(file) is not None:
        return place / file
    if not context.pieces:
        scratch = context.work / name
        return _write(context, OutputFolder(scratch, scratch), checkpoint, file, exact=exact)

    def wait(_: object) -> None:
        context.progress(f"waiting for the {name} model", 0, None, "steps")

    place.mkdir(parents=True, exist_ok=True)
    with hold(place / "lock", place, wait=wait):
        if shared.done(file) is not None:
            return place / file
        return _write(context, shared, checkpoint, file, exact=exact)


def _write(
    context: StepContext, output: OutputFolder, checkpoint: Artifact, file: str, *, exact: bool
) -> Path:
    settings: MeasureSettings = context.settings
    context.progress(f"writing {file}", 0, None, "steps")
    weights = open_weights(checkpoint)
    if exact:
        weights = weights.widened()
    base = checkpoint.metadata.get("base")
    conversion = plan(
        toolchain.find(settings.llama_cpp),
        weights,
        prepare_folder(weights, context.release, output.scratch / "converter", None, None),
        kinds={REFERENCE},
        pre_tokenizer=vocabulary.Resolver(
            settings.pre_tokenizer, Path(base) if isinstance(base, str) else None
        ),
    )
    write(
        dataclasses.replace(context, output=output, settings=GgufSettings()),
        conversion,
        [lay_out(QUANTS[REFERENCE], file, conversion)],
        "auto",
    )
    return output.path / file
