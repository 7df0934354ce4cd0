"""Write several GGUF files side by side, each tensor of the checkpoint read and merged once.

A block of rows goes to every file that is open, stored in the type that the file has for the
tensor; equal work for two files is done once. Threads share the pieces of a block. Memory is
bounded by blocks, not by tensors, as far as :mod:`uploader_gguf.lazy` can read a tensor in blocks.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from uploader_core.plugin import StepContext
from uploader_gguf import gguf_file, kernels
from uploader_gguf.converter import Conversion, Planned
from uploader_gguf.gguf_file import TensorInfo
from uploader_gguf.imatrix import Importance
from uploader_gguf.lazy import Array, as_float32
from uploader_gguf.quants import Quant, TensorType

_SPLIT = 4
"""Pieces of a block that threads work on."""

_AHEAD = 8
"""Pieces that are in work or wait to be written; two blocks."""


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
        for piece in _in_order(_pieces(conversion, files, pool)):
            for sink, data in zip(sinks, piece, strict=True):
                sink.write(data if isinstance(data, bytes) else data.data)
            context.progress("writing", sum(sink.size for sink in sinks), total)


_Stored = list["Array | bytes"]


def _in_order(pieces: Iterator[Future[_Stored]]) -> Iterator[_Stored]:
    """Yield results in order while the next blocks are read and merged meanwhile."""
    waiting: deque[Future[_Stored]] = deque()
    try:
        for piece in pieces:
            waiting.append(piece)
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for piece in waiting:
            piece.cancel()


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


def _pieces(
    conversion: Conversion, files: list[File], pool: ThreadPoolExecutor
) -> Iterator[Future[_Stored]]:
    """Start the work, piece by piece, on every tensor in order; results are bytes for each file."""
    for index, planned in enumerate(conversion.tensors):
        infos = [file.tensors[index] for file in files]
        if planned.values is None:
            for block in conversion.blocks(planned.fixed):
                yield _ready([block] * len(files))
        else:
            yield from _tensor(planned, conversion, files, infos, pool)
        planned.values = planned.fixed = None
        tails = [gguf_file.padding(info.nbytes, conversion.alignment) for info in infos]
        if any(tails):
            yield _ready([bytes(tail) for tail in tails])


def _ready(stored: _Stored) -> Future[_Stored]:
    future: Future[_Stored] = Future()
    future.set_result(stored)
    return future


def _tensor(
    planned: Planned,
    conversion: Conversion,
    files: list[File],
    infos: list[TensorInfo],
    pool: ThreadPoolExecutor,
) -> Iterator[Future[_Stored]]:
    half = planned.stored["F16"]
    wanted = [_work(file, info, half) for file, info in zip(files, infos, strict=True)]
    importance = next(
        (f.importance.of(planned.name, planned.shape) for f in files if f.importance), None
    )
    height = planned.shape[-2] if len(planned.shape) > 1 else 1
    first = 0
    for block in conversion.blocks(planned.values):
        rows = as_float32(block)
        for start, end in pairwise(_edges(rows.shape[0], first, height)):
            weights = None if importance is None else importance[(first + start) // height]
            yield pool.submit(_store, rows[start:end], wanted, weights)
        first += rows.shape[0]


def _store(rows: kernels.Rows, wanted: list[_Work], weights: Array | None) -> _Stored:
    """Store rows for each file; runs in a thread."""
    halved: kernels.Rows | None = None
    made: dict[_Work, Array] = {}
    for work in dict.fromkeys(wanted):
        if work.through_half and halved is None:
            halved = kernels.widen(kernels.encode(rows, TensorType.F16), rows.shape[1])
        source = halved if work.through_half and halved is not None else rows
        made[work] = kernels.encode(source, work.kind, weights if work.weighted else None)
    return [made[work] for work in wanted]


def _edges(rows: int, first: int, height: int) -> list[int]:
    """Cut a block into pieces for threads, none of which crosses from one expert to the next.

    Args:
        rows: In the block.
        first: Number of the block's first row within the tensor.
        height: Rows of an expert, or of the whole matrix.
    """
    cuts = set(range(0, rows, -(-rows // _SPLIT))) | set(range(-first % height, rows, height))
    return [*sorted(cuts), rows]
