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
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

from uploader_core.plugin import HashingWriter, IntegrityError, StepContext
from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import TensorInfo
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp.converter import Conversion, Planned
from uploader_gguf.llama_cpp.encoders import Encoders, choose
from uploader_gguf.llama_cpp.kernels import Rows
from uploader_gguf.llama_cpp.lazy import Array, as_float32
from uploader_gguf.writing.layout import File
from uploader_merged.compute.pipeline import in_order, thread_pool

_SPLIT = 4
"""Pieces of a block that threads work on."""

_AHEAD = 16
"""Pieces that are in work or wait to be written; four blocks."""

_BEHIND = 8
"""Pieces that a file may be behind."""


_Stored = list["Array | bytes"]


def write(context: StepContext, conversion: Conversion, files: list[File], wanted: str) -> Encoders:
    """Write all files side by side, each tensor of the checkpoint read once.

    A file on disk that an interrupted attempt finished is not written again.

    Args:
        context: Of the step.
        conversion: What the converter planned.
        files: Laid out.
        wanted: Which kernels, see :func:`uploader_gguf.llama_cpp.encoders.choose`.

    Returns:
        Who stored the values.

    Raises:
        IntegrityError: A value is not finite, or its type cannot hold it.
    """
    encoders = choose(wanted, {tensor.kind for file in files for tensor in file.tensors})
    for reason in encoders.reasons:
        context.log.warning("slower than it could be: %s", reason)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(thread_pool(1))
        pool = stack.enter_context(thread_pool(os.cpu_count() or 1))
        sinks = [stack.enter_context(_Sink(context, file)) for file in files]
        open_files = [file for file, sink in zip(files, sinks, strict=True) if sink.total]
        sinks = [sink for sink in sinks if sink.total]
        total = sum(sink.total for sink in sinks)
        pieces = _pieces(conversion, open_files, pool, encoders)
        for piece in in_order(_read_ahead(pieces, reader), _AHEAD):
            for sink, data in zip(sinks, piece, strict=True):
                sink.put(data)
            context.progress("writing", sum(sink.size for sink in sinks), total)
        for sink in sinks:
            sink.finish()
        context.progress("writing", sum(sink.size for sink in sinks), total)
    return encoders


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


class _Sink:
    """The shards of one file, opened and committed one after the other.

    Attributes:
        total: Bytes that will be written; 0 when everything is finished already.
        size: Bytes that were written.
    """

    def __init__(self, context: StepContext, file: File) -> None:
        self._output = context.output
        self._stack = contextlib.ExitStack()
        # A shard is done with when its data is; what is finished already is passed over.
        self._shards = deque(
            (shard, context.output.done(shard.name) is not None) for shard in file.shards
        )
        self._left = 0
        self._open: HashingWriter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writing")
        self._behind: deque[Future[None]] = deque()
        self.total = sum(shard.nbytes for shard, done in self._shards if not done)
        self.size = 0

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def put(self, data: Array | bytes) -> None:
        """Let the file's own thread write a piece; waits for it when it is far behind.

        Raises:
            UploaderError: An earlier piece could not be written.
        """
        self._behind.append(self._thread.submit(self._write, data))
        while len(self._behind) > _BEHIND or (self._behind and self._behind[0].done()):
            self._behind.popleft().result()

    def finish(self) -> None:
        """Wait until everything is written; raises what :meth:`put` does."""
        while self._behind:
            self._behind.popleft().result()

    def _write(self, data: Array | bytes) -> None:
        """Write a piece of a tensor, or its padding; pieces never reach over two tensors."""
        size = len(data) if isinstance(data, bytes) else data.nbytes
        if size == 0:
            return
        if self._left == 0:
            self._next()
        self._left -= size
        if self._open is not None:
            self.size += self._open.write(data if isinstance(data, bytes) else data.data)
        if self._left == 0:
            self._stack.close()

    def _next(self) -> None:
        shard, done = self._shards.popleft()
        self._left = shard.data
        self._open = None
        if not done:
            self._open = self._stack.enter_context(self._output.create(shard.name))
            self.size += self._open.write(shard.header)


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
    conversion: Conversion, files: list[File], pool: ThreadPoolExecutor, encoders: Encoders
) -> Iterator[Future[_Stored]]:
    """Start the work, piece by piece, on every tensor in order; results are bytes for each file."""
    for index, planned in enumerate(conversion.tensors):
        infos = [file.tensors[index] for file in files]
        if planned.values is None:
            for block in conversion.blocks(planned.fixed):
                yield _ready([block] * len(files))
        else:
            store = functools.partial(_store, encoders, planned.name)
            yield from _tensor(
                planned, conversion, files, infos, functools.partial(pool.submit, store)
            )
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
    submit: Callable[..., Future[_Stored]],
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
            yield submit(rows[start:end], wanted, weights)
        first += rows.shape[0]


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
