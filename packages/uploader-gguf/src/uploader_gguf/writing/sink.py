"""One file of several that are written side by side, by a thread of its own."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from uploader_core.plugin import HashingWriter
from uploader_gguf.llama_cpp.lazy import Array

_BEHIND = 8
"""Pieces that a file may be behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """What one file on disk takes of the tensors that go by.

    Attributes:
        header: Bytes before the data.
        data: Bytes of tensors with their padding.
        create: Opens the file; None where it is finished, and what goes by is dropped.
    """

    header: bytes
    data: int
    create: Callable[[], contextlib.AbstractContextManager[HashingWriter]] | None


class Sink:
    """Files on disk that are opened and committed one after the other.

    Args:
        stretches: Of the files.

    Attributes:
        total: Bytes that will be written; 0 when everything is finished already.
        size: Bytes that were written.
    """

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._stack = contextlib.ExitStack()
        # A file is done with when its data is.
        self._stretches = deque(stretches)
        self._left = 0
        self._open: HashingWriter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writing")
        self._behind: deque[Future[None]] = deque()
        self.total = sum(len(s.header) + s.data for s in self._stretches if s.create is not None)
        self.size = 0

    def __enter__(self) -> Sink:
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
        stretch = self._stretches.popleft()
        self._left = stretch.data
        self._open = None
        if stretch.create is not None:
            self._open = self._stack.enter_context(stretch.create())
            self.size += self._open.write(stretch.header)
