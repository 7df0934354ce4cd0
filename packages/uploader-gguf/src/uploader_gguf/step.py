"""The GGUF step: one pass over the checkpoint, all kinds of file at once.

Every tensor is read and merged once, in blocks of rows, and each block goes to every file that is
open. F32, F16, BF16 and Q8_0 are stored from the checkpoint's own values, as llama.cpp's converter
does it. All other kinds are made from the values as the F16 file holds them, because that is what
``llama-quantize`` gets when people run it; so their bytes are the same as its.
"""

from __future__ import annotations

import dataclasses
from math import prod
from pathlib import Path

from uploader_core.plugin import Artifact, StepContext
from uploader_gguf import gguf_file, imatrix, library, roundtrip, smoke, toolchain, vocabulary
from uploader_gguf.converter import Conversion, plan
from uploader_gguf.gguf_file import TensorInfo
from uploader_gguf.imatrix import Importance
from uploader_gguf.mixture import Overrides, TensorShape, select_types
from uploader_gguf.quants import QUANTS, Quant
from uploader_gguf.release_files import file_name, keys_for, prepare_folder
from uploader_gguf.settings import GgufSettings
from uploader_gguf.weights import open_weights
from uploader_gguf.writer import File, write


def convert(context: StepContext) -> Artifact:
    """Write the GGUF files that the settings ask for.

    Raises:
        RefusedError: llama.cpp cannot convert or quantise this model.
        IntegrityError: A file does not load, or a value does not fit its type.
    """
    settings: GgufSettings = context.settings
    overrides = settings.overrides()
    quants = tuple(_wanted(name, overrides) for name in dict.fromkeys(settings.quants))
    names = {quant: file_name(context.release.name, quant.name) for quant in quants}
    missing = [quant for quant in quants if context.output.done(names[quant]) is None]
    chain = toolchain.find(settings.llama_cpp)
    checkpoint = context.input("checkpoint")
    weights = open_weights(checkpoint)
    base = _base(checkpoint)
    work = context.work / "converter"
    folder = prepare_folder(weights, context.release, work, base, settings.quantized_by)
    if missing:
        importance = None if settings.imatrix is None else imatrix.load(settings.imatrix)
        context.progress("reading the model's description", 0, None, "steps")
        conversion = plan(
            chain,
            weights,
            folder,
            kinds={quant.name for quant in missing if quant.direct},
            pre_tokenizer=vocabulary.resolver(settings.pre_tokenizer, base),
            log=context.log,
        )
        write(
            context,
            conversion,
            [lay_out(q, names[q], conversion, importance, overrides) for q in missing],
        )
    paths = [context.output.path / names[quant] for quant in quants]
    _check(context, settings, paths, folder)
    tensors = gguf_file.read_header(paths[0]).tensors
    return context.artifact(
        {
            "llama_cpp": chain.version,
            "library": library.version(),
            "parameters": sum(prod(tensor.shape) for tensor in tensors),
            "quants": {names[quant]: quant.name for quant in quants},
        }
    )


def _check(context: StepContext, settings: GgufSettings, paths: list[Path], folder: Path) -> None:
    """Try the finished files, also those that an interrupted attempt left.

    Raises:
        IntegrityError: One does not run, or tokenises otherwise than the model.
    """
    if settings.smoke_test:
        for index, path in enumerate(paths):
            context.progress(f"running {path.name}", index, len(paths), "files")
            smoke.check(path)
    if settings.tokenizer_check:
        # The vocabulary is the same in all of them.
        context.progress("comparing the tokenisation", 0, None, "steps")
        roundtrip.check(min(paths, key=lambda path: path.stat().st_size), folder, context.log)


def _base(checkpoint: Artifact) -> Path | None:
    base = checkpoint.metadata.get("base")
    return Path(base) if isinstance(base, str) else None


def _wanted(name: str, overrides: Overrides) -> Quant:
    quant = QUANTS[name]
    if quant.default.is_quantized and overrides != Overrides():
        # Types of single tensors are llama-quantize's notion; the converter has none for Q8_0.
        return dataclasses.replace(quant, direct=False)
    return quant


def lay_out(
    quant: Quant,
    name: str,
    conversion: Conversion,
    importance: Importance | None,
    overrides: Overrides,
) -> File:
    """Decide the type of every tensor of a file, and with that its layout.

    Raises:
        RefusedError: A type does not fit, or needs an importance matrix that is not there.
    """
    # What the converter stores in one way only (already quantised experts) stays like that.
    kinds = {t.name: t.stored[quant.name if quant.direct else "F16"] for t in conversion.tensors}
    keys = keys_for(quant, conversion.keys)
    if quant.direct:
        importance = None
    else:
        shapes = {
            t.name: TensorShape(name=t.name, shape=t.shape, stored=t.stored["F16"])
            for t in conversion.tensors
        }
        chosen = select_types(
            quant,
            shapes,
            conversion.model,
            imatrix=importance is not None,
            overrides=overrides,
        )
        kinds |= {t.name: chosen[t.name] for t in conversion.tensors if t.values is not None}
        imatrix.require(importance, quant, kinds)
        if importance is not None:
            keys |= importance.keys()
            for tensor in conversion.tensors:
                importance.of(tensor.name, tensor.shape)
    tensors = tuple(
        TensorInfo(name=t.name, shape=t.shape, kind=kinds[t.name]) for t in conversion.tensors
    )
    header = gguf_file.header(keys, tensors, conversion.alignment)
    return File(name=name, quant=quant, tensors=tensors, header=header, importance=importance)
