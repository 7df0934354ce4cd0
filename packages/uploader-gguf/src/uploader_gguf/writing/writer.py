"""Write several GGUF files side by side, each tensor of the checkpoint read and merged once.

A block of rows goes to every file that is open, stored in the type that the file has for the
tensor; equal work for two files is done once. One thread reads and merges, as many as there are
processors store the pieces of a block, and one for each file hashes and writes. Memory is bounded
by blocks, not by tensors, as far as :mod:`uploader_gguf.llama_cpp.lazy` can read a tensor in
blocks.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

from uploader_core.plugin import IntegrityError, OutputFolder, StepContext
from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import TensorInfo
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp.converter import Conversion, Planned
from uploader_gguf.llama_cpp.encoders import Encoders, choose
from uploader_gguf.llama_cpp.kernels import Rows
from uploader_gguf.llama_cpp.lazy import Array, as_float32
from uploader_gguf.writing.layout import File
from uploader_gguf.writing.parts import Parts
from uploader_gguf.writing.ranges import Range
from uploader_gguf.writing.sink import Sink, Stretch
from uploader_merged.compute.pipeline import in_order, thread_pool

_SPLIT = 4
"""Pieces of a block that threads work on."""

_AHEAD = 16
"""Pieces that are in work or wait to be written; four blocks."""

_Stored = list["Array | bytes"]


def write(
    context: StepContext,
    conversion: Conversion,
    files: Sequence[File],
    wanted: str,
    divided: Sequence[Range] = (),
) -> Encoders:
    """Write all files side by side, each tensor of the checkpoint read once.

    A file on disk that an interrupted attempt finished is not written again, and what other workers
    made of a range is taken from there.

    Args:
        context: Of the step.
        conversion: What the converter planned.
        files: Laid out.
        wanted: Which kernels, see :func:`uploader_gguf.llama_cpp.encoders.choose`.
        divided: The ranges that other workers may have made.

    Returns:
        Who stored the values.

    Raises:
        IntegrityError: A value is not finite, or its type cannot hold it; a part was changed.
    """
    encoders = _choose(context, files, wanted)
    parts = Parts(context.output, conversion.alignment)
    stretches = [_of_file(context.output, file) for file in files]
    # Nothing is made for a file that is finished.
    some = [n for n, each in enumerate(stretches) if any(s.create is not None for s in each)]
    files = [files[n] for n in some]
    work = _Pass(conversion, files, encoders)

    def pieces(submit: Callable[..., Future[_Stored]]) -> Iterator[Future[_Stored]]:
        everything = Range(name="", tensors=range(len(conversion.tensors)))
        left = sum(shard.nbytes for file in files for shard in file.shards)
        for tensors in divided or (everything,):
            paths = parts.find(files, tensors) if divided else None
            left -= parts.nbytes(files, tensors)
            if paths is None:
                yield from work.pieces(tensors.tensors, submit)
            else:
                yield from map(_ready, parts.read(files, tensors, paths))
                parts.spare(paths, left)

    _run(context, [stretches[n] for n in some], pieces)
    return encoders


def write_parts(
    context: StepContext,
    conversion: Conversion,
    files: Sequence[File],
    wanted: str,
    divided: Sequence[Range],
) -> None:
    """Write the parts of ranges, for all files side by side; those that are there already are kept.

    Args:
        context: Of the step.
        conversion: What the converter planned.
        files: Laid out.
        wanted: Which kernels.
        divided: The ranges.

    Raises:
        IntegrityError: A value is not finite, or its type cannot hold it.
    """
    encoders = _choose(context, files, wanted)
    parts = Parts(context.output, conversion.alignment)
    todo = [r for r in divided if r.tensors and parts.find(files, r) is None]
    work = _Pass(conversion, files, encoders)
    _run(
        context,
        [[parts.stretch(file, tensors) for tensors in todo] for file in files],
        lambda submit: (piece for r in todo for piece in work.pieces(r.tensors, submit)),
    )


def _choose(context: StepContext, files: Sequence[File], wanted: str) -> Encoders:
    encoders = choose(wanted, {tensor.kind for file in files for tensor in file.tensors})
    for reason in encoders.reasons:
        context.log.warning("slower than it could be: %s", reason)
    return encoders


def _of_file(output: OutputFolder, file: File) -> list[Stretch]:
    return [
        Stretch(
            header=shard.header,
            data=shard.data,
            create=None
            if output.done(shard.name) is not None
            else functools.partial(output.create, shard.name),
        )
        for shard in file.shards
    ]


def _run(
    context: StepContext,
    stretches: Sequence[Sequence[Stretch]],
    pieces: Callable[[Callable[..., Future[_Stored]]], Iterator[Future[_Stored]]],
) -> None:
    """Put what is made into files that are written side by side.

    Args:
        context: Of the step.
        stretches: Of each file.
        pieces: Given what starts work in a thread, yields the work on pieces, in order.
    """
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(thread_pool(1))
        pool = stack.enter_context(thread_pool(os.cpu_count() or 1))
        sinks = [stack.enter_context(Sink(each)) for each in stretches]
        total = sum(sink.total for sink in sinks)
        for piece in in_order(_read_ahead(pieces(pool.submit), reader), _AHEAD):
            for sink, data in zip(sinks, piece, strict=True):
                sink.put(data)
            context.progress("writing", sum(sink.size for sink in sinks), total)
        for sink in sinks:
            sink.finish()
        context.progress("writing", sum(sink.size for sink in sinks), total)


def _read_ahead(
    pieces: Iterator[Future[_Stored]], reader: ThreadPoolExecutor
) -> Iterator[Future[_Stored]]:
    """Let a thread of its own go through a generator, which reads and merges, a few steps ahead."""
    steps: deque[Future[Future[_Stored] | None]] = deque()
    try:
        while True:
            while len(steps) < _SPLIT:
                steps.append(reader.submit(next, pieces, None))
            piece = steps.popleft().result()
            if piece is None:
                return
            yield piece
    finally:
        for step in steps:
            step.cancel()


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


class _Pass(NamedTuple):
    """What goes through the tensors once, for all files."""

    conversion: Conversion
    files: Sequence[File]
    encoders: Encoders

    def pieces(
        self, tensors: range, submit: Callable[..., Future[_Stored]]
    ) -> Iterator[Future[_Stored]]:
        """Start the work on tensors, piece by piece, in order; results are bytes for each file."""
        conversion = self.conversion
        for index in tensors:
            planned = conversion.tensors[index]
            infos = [file.tensors[index] for file in self.files]
            if planned.values is None:
                for block in conversion.blocks(planned.fixed):
                    yield _ready([block] * len(infos))
            else:
                store = functools.partial(_store, self.encoders, planned.name)
                yield from self._tensor(planned, infos, functools.partial(submit, store))
            planned.values = planned.fixed = None
            tails = [gguf_file.padding(info.nbytes, conversion.alignment) for info in infos]
            if any(tails):
                yield _ready([bytes(tail) for tail in tails])

    def _tensor(
        self, planned: Planned, infos: list[TensorInfo], submit: Callable[..., Future[_Stored]]
    ) -> Iterator[Future[_Stored]]:
        half = planned.stored["F16"]
        wanted = [_work(file, info, half) for file, info in zip(self.files, infos, strict=True)]
        importance = next(
            (f.importance.of(planned.name, planned.shape) for f in self.files if f.importance), None
        )
        height = planned.shape[-2] if len(planned.shape) > 1 else 1
        first = 0
        for block in self.conversion.blocks(planned.values):
            rows = as_float32(block)
            for start, end in pairwise(_edges(rows.shape[0], first, height)):
                weights = None if importance is None else importance[(first + start) // height]
                yield submit(rows[start:end], wanted, weights)
            first += rows.shape[0]


def _ready(stored: Sequence[Array | bytes]) -> Future[_Stored]:
    future: Future[_Stored] = Future()
    future.set_result([*stored])
    return future


def _store(
    encoders: Encoders, name: str, rows: Rows, wanted: list[_Work], weights: Array | None
) -> _Stored:
    """Store rows for each file; runs in a thread."""
    halved: Rows | None = None
    made: dict[_Work, Array] = {}
    try:
        if any(work.through_half for work in wanted):
            halved = encoders.halve(rows)  # which looks for NaN and infinities as well
        else:
            encoders.require_finite(rows)
        for work in dict.fromkeys(wanted):
            source = halved if work.through_half and halved is not None else rows
            made[work] = encoders.encode(source, work.kind, weights if work.weighted else None)
    except IntegrityError as error:
        raise error.replace(what=f"{name}: {error.what}") from error
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
