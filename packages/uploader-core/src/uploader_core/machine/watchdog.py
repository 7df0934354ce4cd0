"""End a worker that hangs, or takes longer than anything should.

A long silence is no hang: a merge may say nothing for an hour. A worker hangs when
it and everything that it started print nothing, use no processor and move no byte. This is measured
from outside, so a step whose threads wait for each other, or that holds Python's lock, is found,
too. Where the system does not count the bytes of a process (macOS), any use of a processor
counts as work.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from uploader_core.machine.processes import activity

# Below this share of one processor a process only looks whether it may go on. Without a count of
# bytes that could be a slow transfer as well.
_IDLE = 0.0 if sys.platform == "darwin" else 0.005


class Watchdog:
    """Watches one worker while its step runs; a context manager.

    Args:
        pid: The worker, leader of a session of its own.
        silence: Seconds without a sign of life.
        most: Seconds in all, however busy it is.
        end: Ends the worker.

    Attributes:
        bit: Why the worker was ended, as the rest of a sentence; "" when it was not.
    """

    def __init__(self, pid: int, silence: float, most: float, end: Callable[[], None]) -> None:
        self._pid = pid
        self._silence = silence
        self._most = most
        self._end = end
        self._stop = threading.Event()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.bit = ""

    def heard(self) -> None:
        """The worker said something."""
        self._heard = time.monotonic()

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = min(15.0, self._silence / 4, self._most / 4)
        seen, silent = activity(self._pid), 0.0
        begun = looked = time.monotonic()
        while not self._stop.wait(pause):
            now, found = time.monotonic(), activity(self._pid)
            if now - begun > self._most:
                self._bite(f"was not through after {self._most:,.0f} s")
                return
            if found is None or seen is None:
                return  # it is gone, and its exit code says how
            busy = found[0] - seen[0] > _IDLE * (now - looked) or found[1] != seen[1]
            # Time in which this thread did not run, either, says nothing: the machine stood still.
            idle = min(now - looked, 2 * pause)
            silent = 0.0 if busy or self._heard > looked else silent + idle
            seen, looked = found, now
            if silent > self._silence:
                self._bite(
                    f"hangs: for {self._silence:,.0f} s its worker said nothing, computed nothing "
                    "and moved no byte"
                )
                return

    def _bite(self, why: str) -> None:
        self.bit = why
        self._end()
