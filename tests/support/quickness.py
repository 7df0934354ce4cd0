"""How much of a processor something takes, whatever else the machine does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 3


def at_best(work: Callable[[], object], enough: float) -> float:
    """Return the seconds of a processor that something takes when nothing else is in its way.

    What is imported for the first time, or garbage of other tests that is collected meanwhile,
    comes in the way once.

    Args:
        work: Done once where that takes less than ``enough``, otherwise up to three times.
        enough: Seconds that it may take.
    """
    best = float("inf")
    for _ in range(TRIES):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
        if best < enough:
            break
    return best
