"""Do pieces of work ahead in forked processes and hand their bytes out in order.

Heavy: imports torch. Threads that merge share Python's lock and wait for each other after every
small operation of torch; processes do not. Each child walks through the same work as the parent and
does its share of the pieces, so nothing is sent but the order to go on; results lie in memory that
all of them see. Forking is what keeps it cheap: a child begins with torch loaded and everything
planned.

A child that fails, or dies, costs time only: the parent does the piece itself, and an error is
raised there as if there were no children.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch  # noqa: TID253 - this module computes

from uploader_merged.tensors import memory

CHILDREN = 2
_SLOTS = 3
_SLOT = 8 << 20
_WORTH_IT = 64 << 20
_SELF = -1
"""Said by a child in the place of a size: do this one yourself."""

Work = Iterable[Callable[[], torch.Tensor]]


def is_worth_it(nbytes: int) -> bool:
    """Tell whether to fork for a file of so many bytes, on this machine."""
    return (
        sys.platform == "linux"
        and nbytes >= _WORTH_IT
        and (os.cpu_count() or 1) > 1
        and not torch.cuda.is_initialized()
    )


def in_order(work: Work) -> Iterator[memoryview]:
    """Yield the bytes of pieces in their order, while children do the next ones.

    Args:
        work: Gives the same pieces in every process that walks through it. Not begun yet.

    Yields:
        Bytes that are valid until the next piece is asked for.
    """
    shared = mmap.mmap(-1, CHILDREN * _SLOTS * _SLOT)
    children: list[_Child] = []
    try:
        for number in range(CHILDREN):
            children.append(_fork(number, work, shared, children))
        for index, piece in enumerate(work):
            child = children[index % CHILDREN]
            size = child.receive()
            if size == _SELF:
                yield memory(piece())
            else:
                begin = _place(index)
                with memoryview(shared) as whole, whole[begin : begin + size] as view:
                    yield view
            child.release()
    finally:
        for child in children:
            child.end()


def _place(index: int) -> int:
    """Return where the result of a piece lies: each child has slots of its own, used in turn."""
    child, own = index % CHILDREN, index // CHILDREN
    return (child * _SLOTS + own % _SLOTS) * _SLOT


@dataclass
class _Child:
    """A child as the parent sees it.

    Attributes:
        pid: Process.
        results: Pipe that tells the size of each finished piece.
        tokens: Pipe that gives a slot back.
    """

    pid: int
    results: int
    tokens: int

    def receive(self) -> int:
        """Return the size of the child's next piece, or :data:`_SELF`."""
        message = b""
        while len(message) < 8:
            part = os.read(self.results, 8 - len(message))
            if not part:
                return _SELF
            message += part
        return int(struct.unpack("<q", message)[0])

    def release(self) -> None:
        """Let the child use the slot again."""
        with contextlib.suppress(BrokenPipeError):  # it ended; its pieces are done here from now on
            os.write(self.tokens, b".")

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.results)
        os.close(self.tokens)


def _fork(number: int, work: Work, shared: mmap.mmap, before: list[_Child]) -> _Child:
    results, send = os.pipe()
    wait, tokens = os.pipe()
    with warnings.catch_warnings():
        # Python warns of threads whose locks a child would find closed. The child touches no lock
        # of theirs: it computes, writes to its own memory and to a pipe, and ends without cleaning.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        os.close(send)
        os.close(wait)
        return _Child(pid, results, tokens)
    try:
        # Only the parent may hold these, so that its end is seen here.
        for handle in (results, tokens, *(h for c in before for h in (c.results, c.tokens))):
            os.close(handle)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _serve(number, work, shared, send, wait)
    finally:
        os._exit(0)


def _serve(number: int, work: Work, shared: mmap.mmap, send: int, wait: int) -> None:
    """Do every piece of one child, in its process."""
    for index, piece in enumerate(work):
        own, other = divmod(index - number, CHILDREN)
        if other:
            continue
        if own >= _SLOTS and not os.read(wait, 1):
            return
        try:
            block = memory(piece())
            size = len(block) if len(block) <= _SLOT else _SELF
            if size != _SELF:
                begin = _place(index)
                shared[begin : begin + size] = block
        except Exception:
            size = _SELF  # the parent meets the same error, in a process that can report it
        os.write(send, struct.pack("<q", size))
