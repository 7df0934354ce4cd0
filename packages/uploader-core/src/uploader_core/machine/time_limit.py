"""End what does not end by itself, by interrupting it as Ctrl+C would."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class TimeLimitError(Exception):
    """It took longer than it was allowed to."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after a time.

    Only the main thread can be interrupted; elsewhere there is no limit.

    Args:
        seconds: How long it may take.

    Raises:
        TimeLimitError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread():
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
