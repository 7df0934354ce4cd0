"""A file that is being written: what is streamed, then the tail.

Heavy: imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch  # noqa: TID253 - this module computes

from uploader_compressed.layout import Shard, Stored
from uploader_compressed.target import Target
from uploader_core.plugin import HashingWriter
from uploader_merged.compute.tensors import memory

_CODES = ("", "weight", "weight_packed")
"""Endings of what is as long as the matrix: itself, or its codes."""


class ShardFile:
    """A file that is being written.

    Attributes:
        target: What it is a part of.
        shard: What it is to hold.
        constants: Tensors of the tail that say something of a whole matrix, by name.
    """

    def __init__(
        self, target: Target, shard: Shard, writer: HashingWriter, storer: ThreadPoolExecutor
    ) -> None:
        self.target = target
        self.shard = shard
        self.constants = {
            stored.name: stored
            for stored in shard.tail
            if stored.part.ending in ("weight_shape", "weight_global_scale")
        }
        self._writer = writer
        self._storer = storer
        self._pending: list[Future[int]] = []
        # One block for all that is kept: small tensors that stay where large ones come and go
        # would keep the allocator from using the memory between them again.
        self._tail = bytearray(sum(stored.part.nbytes for stored in shard.tail))
        self._ends = _starts(shard.tail)
        self._codes = {s.source: s.name for s in shard.tail if s.part.ending in _CODES}
        self._scales = {s.source: s.name for s in shard.tail if s.part.ending == "weight_scale"}
        self._write(shard.header)

    def add(self, source: str, parts: Sequence[torch.Tensor]) -> None:
        """Take rows of a tensor, in order: as they are, or codes and scales."""
        if source in self.shard.streamed:
            self._write(memory(parts[0].contiguous()))
        else:
            self._keep(self._codes[source], parts[0])
        if source in self._scales:
            self._keep(self._scales[source], parts[1])

    def finish(self, constants: Mapping[str, torch.Tensor]) -> None:
        """Write the tail, and wait until all is written.

        Args:
            constants: Values of :attr:`constants`.
        """
        for name, value in constants.items():
            self._keep(name, value)
        self._write(self._tail)
        while self._pending:
            self._pending.pop(0).result()

    def _keep(self, name: str, part: torch.Tensor) -> None:
        """Put rows of a tensor of the tail behind those that are there."""
        data, start = memory(part.contiguous()), self._ends[name]
        self._tail[start : start + len(data)] = data
        self._ends[name] = start + len(data)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        while len(self._pending) > 1:
            self._pending.pop(0).result()
        self._pending.append(self._storer.submit(self._writer.write, data))
        self.target.progress(len(data))


def _starts(tail: Sequence[Stored]) -> dict[str, int]:
    """Return where in the tail each tensor begins."""
    starts, position = {}, 0
    for stored in tail:
        starts[stored.name] = position
        position += stored.part.nbytes
    return starts
