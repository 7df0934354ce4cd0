"""How long things may take, and how what does not end by itself is ended."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A time that something may take.

    Attributes:
        variable: Of the environment, for another time in seconds; 0 for no limit.
        seconds: Where it is not set, or no number.
    """

    variable: str
    seconds: float

    def of(self, environment: Mapping[str, str]) -> float:
        """Return the seconds that count; infinite where there is no limit."""
        with contextlib.suppress(ValueError):
            return max(0.0, float(environment.get(self.variable, ""))) or math.inf
        return self.seconds


IMPORT = Limit(variable="UPLOADER_IMPORT_TIMEOUT", seconds=60)
"""To import a plugin."""

LIGHT = Limit(variable="UPLOADER_CHECK_TIMEOUT", seconds=60)
"""For a light function of a plugin, in core's process: ``check``, ``estimate``, ``group`` ..."""

ASK = Limit(variable="UPLOADER_ASK_TIMEOUT", seconds=900)
"""For a question to a worker: the check of a destination, a proof, whether an upload is there."""

STEP = Limit(variable="UPLOADER_STEP_TIMEOUT", seconds=24 * 3600)
"""For a step, however busy it is."""

SILENCE = Limit(variable="UPLOADER_SILENCE", seconds=900)
"""Without any sign of life of a worker."""

CANCEL = Limit(variable="UPLOADER_CANCEL_TIMEOUT", seconds=10)
"""For workers to come to an end by themselves once the user stopped the run."""

CLEAN_UP = Limit(variable="UPLOADER_CLEAN_UP_TIMEOUT", seconds=60)
"""For a destination to clean up after an upload that was not finished."""


class TimeLimitError(Exception):
    """It took longer than it was allowed to."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after a time.

    Only the main thread can be interrupted; elsewhere there is no limit.

    Args:
        seconds: How long it may take; infinite for no limit.

    Raises:
        TimeLimitError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread() or seconds == math.inf:
        yield
        return
    expired = threading.Event()

    def interrupt() -> None:
        expired.set()
        if hasattr(signal, "pthread_kill"):  # also wakes a sleeping system call
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            import _thread

            _thread.interrupt_main()

    def interrupted(*_: object) -> None:
        if expired.is_set():
            raise KeyboardInterrupt

    # As after `nohup` and in the background of a script: nothing would come of it.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, interrupted)
    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if not expired.is_set():
            raise
        raise TimeLimitError from None
    finally:
        timer.cancel()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
