"""The GGUF step: one pass over the checkpoint, all kinds of file at once.

Every tensor is read and merged once, in blocks of rows, and each block goes to every file that is
open. F32, F16, BF16 and Q8_0 are stored from the checkpoint's own values, as llama.cpp's converter
does it. All other kinds are made from the values as the F16 file holds them, because that is what
``llama-quantize`` gets when people run it; so their bytes are the same as its.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

from uploader_core.plugin import Artifact, HashingWriter, StepContext
from uploader_gguf import gguf_file, kernels, library, smoke, toolchain, vocabulary
from uploader_gguf.converter import Conversion, Planned, plan
from uploader_gguf.gguf_file import TensorInfo
from uploader_gguf.lazy import Array, as_float32
from uploader_gguf.mixture import TensorShape, select_types
from uploader_gguf.quants import QUANTS, Quant, TensorType
from uploader_gguf.release_files import file_name, keys_for, prepare_folder
from uploader_gguf.settings import GgufSettings
from uploader_gguf.weights import Weights, open_weights


_SPLIT = 8
"""Pieces of a block that threads work on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file to be written.

    Attributes:
        name: ``<Model>-<QUANT>.gguf``.
        quant: Its kind.
        tensors: In the order of their data.
        header: Everything before the data.
    """

    name: str
    quant: Quant
    tensors: tuple[TensorInfo, ...]
    header: bytes


def convert(context: StepContext) -> Artifact:
    """Write the GGUF files that the settings ask for.

    Raises:
        RefusedError: llama.cpp cannot convert or quantise this model.
        IntegrityError: A file does not load, or a value does not fit its type.
    """
    settings: GgufSettings = context.settings
    quants = tuple(QUANTS[name] for name in dict.fromkeys(settings.quants))
    names = {quant: file_name(context.release.name, quant.name) for quant in quants}
    missing = [quant for quant in quants if context.output.done(names[quant]) is None]
    chain = toolchain.find(settings.llama_cpp)
    if missing:
        weights = open_weights(context.input("checkpoint"))
        folder = prepare_folder(weights, context.release, context.work / "converter")
        context.progress("reading the model's description", 0, None, "steps")
        conversion = plan(
            chain,
            weights,
            folder,
            name=context.release.name,
            kinds={quant.name for quant in missing if quant.direct},
            pre_tokenizer=vocabulary.resolver(settings.pre_tokenizer),
            log=context.log,
        )
        write(context, conversion, [lay_out(quant, names[quant], conversion) for quant in missing])
    if settings.smoke_test:
        for index, quant in enumerate(quants):
            context.progress(f"running {names[quant]}", index, len(quants), "files")
            smoke.check(context.output.path / names[quant])
    tensors = gguf_file.read_header(context.output.path / names[quants[0]]).tensors
    return context.artifact(
        {
            "llama_cpp": chain.version,
            "library": library.version(),
            "parameters": sum(prod(tensor.shape) for tensor in tensors),
            "quants": {names[quant]: quant.name for quant in quants},
        }
    )


def lay_out(quant: Quant, name: str, conversion: Conversion) -> File:
    """Decide the type of every tensor of a file, and with that its layout."""
    # What the converter stores in one way only (already quantised experts) stays like that.
    kinds = {t.name: t.stored[quant.name if quant.direct else "F16"] for t in conversion.tensors}
    if not quant.direct:
        chosen = select_types(
            quant,
            {
                t.name: TensorShape(name=t.name, shape=t.shape, stored=t.stored["F16"])
                for t in conversion.tensors
            },
            conversion.model,
        )
        kinds |= {t.name: chosen[t.name] for t in conversion.tensors if t.values is not None}
    tensors = tuple(
        TensorInfo(name=t.name, shape=t.shape, kind=kinds[t.name]) for t in conversion.tensors
    )
    header = gguf_file.header(keys_for(quant, conversion.keys), tensors, conversion.alignment)
    return File(name=name, quant=quant, tensors=tensors, header=header)


def write(context: StepContext, conversion: Conversion, files: list[File]) -> None:
    """Write all files side by side, each tensor of the checkpoint read once."""
    kernels.prepare({tensor.kind for file in files for tensor in file.tensors})
    total = sum(len(f.header) + sum(t.nbytes for t in f.tensors) for f in files)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=os.cpu_count() or 1))
        sinks = [stack.enter_context(context.output.create(file.name)) for file in files]
        for sink, file in zip(sinks, files, strict=True):
            sink.write(file.header)
        for index, planned in enumerate(conversion.tensors):
            infos = [file.tensors[index] for file in files]
            for blocks in _stored(planned, conversion, files, infos, pool):
                for sink, data in zip(sinks, blocks, strict=True):
                    sink.write(data.data)
                context.progress("writing", sum(sink.size for sink in sinks), total)
            planned.values = planned.fixed = None
            for sink, info in zip(sinks, infos, strict=True):
                sink.write(bytes(gguf_file.padding(info.nbytes, conversion.alignment)))


def _stored(
    planned: Planned,
    conversion: Conversion,
    files: list[File],
    infos: list[TensorInfo],
    pool: ThreadPoolExecutor,
) -> Iterator[list[Array]]:
    """Yield, block by block, the bytes of a tensor for each file."""
    if planned.values is None:
        for block in conversion.blocks(planned.fixed):
            yield [block] * len(files)
        return
    half = planned.stored["F16"]
    wanted = [
        # What is in F16 already is copied, not stored again.
        (info.kind, not file.quant.direct and half is TensorType.F16 and info.kind is not half)
        for file, info in zip(files, infos, strict=True)
    ]
    for block in conversion.blocks(planned.values):
        sources = {False: as_float32(block)}
        if any(rounded for _, rounded in wanted):
            length = block.shape[1]
            sources[True] = kernels.widen(kernels.encode(sources[False], half), length)
        made = {
            (kind, rounded): _encode(sources[rounded], kind, pool)
            for kind, rounded in dict.fromkeys(wanted)
        }
        done = {key: [future.result() for future in futures] for key, futures in made.items()}
        for parts in zip(*(done[key] for key in wanted), strict=True):
            yield list(parts)


def _encode(rows: kernels.Rows, kind: TensorType, pool: ThreadPoolExecutor) -> list[Future[Array]]:
    step = -(-rows.shape[0] // _SPLIT)
    return [
        pool.submit(kernels.encode, rows[start : start + step], kind)
        for start in range(0, rows.shape[0], step)
    ]
