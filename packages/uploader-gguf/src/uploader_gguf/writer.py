"""Write several GGUF files side by side, each tensor of the checkpoint read and merged once.

A block of rows goes to every file that is open, stored in the type that the file has for the
tensor; equal work for two files is done once. Threads share the pieces of a block. Memory is
bounded by blocks, not by tensors, as far as :mod:`uploader_gguf.lazy` can read a tensor in blocks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from uploader_core.plugin import StepContext
from uploader_gguf import gguf_file, kernels
from uploader_gguf.converter import Conversion, Planned
from uploader_gguf.gguf_file import TensorInfo
from uploader_gguf.imatrix import Importance
from uploader_gguf.lazy import Array, as_float32
from uploader_gguf.quants import Quant, TensorType

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
        importance: Used for the kinds that ``llama-quantize`` makes.
    """

    name: str
    quant: Quant
    tensors: tuple[TensorInfo, ...]
    header: bytes
    importance: Importance | None


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


class _Work(NamedTuple):
    """How a tensor's values are stored in a file; files that agree share the result."""

    kind: TensorType
    through_half: bool
    weighted: bool


def _work(file: File, info: TensorInfo, half: TensorType) -> _Work:
    if file.quant.direct or info.kind is half:
        # What the F16 file holds is copied, not stored again.
        return _Work(info.kind, False, False)
    return _Work(info.kind, half is TensorType.F16, file.importance is not None)


def _stored(
    planned: Planned,
    conversion: Conversion,
    files: list[File],
    infos: list[TensorInfo],
    pool: ThreadPoolExecutor,
) -> Iterator[list[Array]]:
    """Yield, piece by piece, the bytes of a tensor for each file."""
    if planned.values is None:
        for block in conversion.blocks(planned.fixed):
            yield [block] * len(files)
        return
    half = planned.stored["F16"]
    wanted = [_work(file, info, half) for file, info in zip(files, infos, strict=True)]
    importance = next(
        (f.importance.of(planned.name, planned.shape) for f in files if f.importance), None
    )
    height = planned.shape[-2] if len(planned.shape) > 1 else 1
    first = 0
    for block in conversion.blocks(planned.values):
        edges = _edges(block.shape[0], first, height)
        sources = {False: as_float32(block)}
        if any(work.through_half for work in wanted):
            sources[True] = _through_half(sources[False], edges, pool)
        made: dict[_Work, list[Future[Array]]] = {}
        for work in dict.fromkeys(wanted):
            made[work] = [
                pool.submit(
                    kernels.encode,
                    sources[work.through_half][start:end],
                    work.kind,
                    importance[(first + start) // height]
                    if work.weighted and importance is not None
                    else None,
                )
                for start, end in pairwise(edges)
            ]
        first += block.shape[0]
        done = {work: [future.result() for future in futures] for work, futures in made.items()}
        for parts in zip(*(done[work] for work in wanted), strict=True):
            yield list(parts)


def _edges(rows: int, first: int, height: int) -> list[int]:
    """Cut a block into pieces for threads, none of which crosses from one expert to the next.

    Args:
        rows: In the block.
        first: Number of the block's first row within the tensor.
        height: Rows of an expert, or of the whole matrix.
    """
    cuts = set(range(0, rows, -(-rows // _SPLIT))) | set(range(-first % height, rows, height))
    return [*sorted(cuts), rows]


def _through_half(rows: kernels.Rows, edges: list[int], pool: ThreadPoolExecutor) -> kernels.Rows:
    """Return the values as an F16 file holds them."""

    def narrow(edge: tuple[int, int]) -> kernels.Rows:
        part = rows[edge[0] : edge[1]]
        return kernels.widen(kernels.encode(part, TensorType.F16), part.shape[1])

    return np.concatenate(list(pool.map(narrow, pairwise(edges))))
