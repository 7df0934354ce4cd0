"""Do pieces of work ahead in threads and hand them out in order.

Heavy: imports torch. The kernels, products of torch, file reads, file writes and hashing all let
other threads run. A thread that reads, one that merges and one that hashes keep two processors and
the disk busy.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch  # noqa: TID253 - this module computes

from uploader_merged.compute.arithmetic import Piece

_AHEAD = 4

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

T = TypeVar("T")


def merged_in_order(pool: ThreadPoolExecutor, pieces: Iterable[Piece]) -> Iterator[torch.Tensor]:
    """Yield merged pieces in their order; a thread reads ahead of the pool, which merges.

    Args:
        pool: Merges them.
        pieces: Taken one by one, only as far as needed, so memory stays at a few pieces.
    """
    keep_freed_memory()
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:

        def start(piece: Piece) -> Future[torch.Tensor]:
            stored = reader.submit(piece.read)
            return pool.submit(lambda: piece.merge(stored.result()))

        yield from in_order(start(piece) for piece in pieces)


def in_order(work: Iterable[Future[T]], ahead: int = _AHEAD) -> Iterator[T]:
    """Yield results in their order while those that follow are worked on.

    Args:
        work: Started when it is taken.
        ahead: How many are started before the one that is yielded.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for future in work:
            waiting.append(future)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool whose threads, and this one, compute without threads of torch's own.

    Args:
        threads: How many.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The number is kept for each thread.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let glibc use freed blocks again, which it gives back to the system when they are large.

    Every piece would begin with fresh pages then: a tenth of a merge's time.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 16 << 20)
        mallopt(_M_TRIM_THRESHOLD, 32 << 20)
