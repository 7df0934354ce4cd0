"""Do pieces of work ahead in threads and hand them out in order.

Heavy: imports torch. torch, file reads, file writes and hashing all let other threads run, so one
thread that merges and one that hashes and writes keep two processors busy. A second one that merges
makes it slower: every small operation of torch takes Python's lock again when it is done, and two
such threads wait for each other more than they work.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch  # noqa: TID253 - this module computes

WORKERS = 1
_AHEAD = 8

T = TypeVar("T")


def in_order(pool: ThreadPoolExecutor, work: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of callables in their order, a few of them ahead.

    Args:
        pool: Runs them.
        work: Taken one by one, only as far as needed, so memory stays at a few results.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for call in work:
            waiting.append(pool.submit(call))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def thread_pool(threads: int = WORKERS) -> Iterator[ThreadPoolExecutor]:
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
