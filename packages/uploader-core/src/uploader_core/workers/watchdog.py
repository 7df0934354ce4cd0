"""End a worker that hangs.

A long silence is no hang: a merge may say nothing for an hour. A worker hangs when
it and everything that it started print nothing, use no processor and move no byte. This is measured
from outside, so a step whose threads wait for each other, or that holds Python's lock, is found,
too. Where the system does not count the bytes of a process (macOS), any use of a processor
counts as work.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping

from uploader_core.machine.processes import activity

VARIABLE = "UPLOADER_SILENCE"
"""Seconds without any sign of life after which a worker is ended; 0 for never."""

DEFAULT = 900.0

# Below this share of one processor a process only looks whether it may go on. Without a count of
# bytes that could be a slow transfer as well.
_IDLE = 0.0 if sys.platform == "darwin" else 0.005


def limit_of(environment: Mapping[str, str]) -> float:
    """Return the seconds that a worker may give no sign of life."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(environment.get(VARIABLE, DEFAULT)))
    return DEFAULT


class Watchdog:
    """Watches one worker while its step runs; a context manager.

    Args:
        pid: The worker, leader of a session of its own.
        limit: Seconds without a sign of life; 0 watches nothing.
        end: Ends the worker.

    Attributes:
        bit: Whether the worker was ended for hanging.
    """

    def __init__(self, pid: int, limit: float, end: Callable[[], None]) -> None:
        self._pid = pid
        self._limit = limit
        self._end = end
        self._stop = threading.Event()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.bit = False

    def heard(self) -> None:
        """The worker said something."""
        self._heard = time.monotonic()

    def __enter__(self) -> Watchdog:
        if self._limit:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._limit:
            self._thread.join()

    def _watch(self) -> None:
        pause = min(15.0, self._limit / 4)
        seen = activity(self._pid)
        looked = time.monotonic()
        while not self._stop.wait(pause):
            now, found = time.monotonic(), activity(self._pid)
            if found is None or seen is None:
                return  # it is gone, and its exit code says how
            busy = found[0] - seen[0] > _IDLE * (now - looked) or found[1] != seen[1]
            seen, looked = found, now
            if busy:
                self._heard = now
            elif now - self._heard > self._limit:
                self.bit = True
                self._end()
                return
