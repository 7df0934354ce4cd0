"""Report that the client waits, and for how long.

The client retries requests by itself and reports that in its log only; it does not report a request
that gets no answer.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType

QUIET = 10.0
"""Seconds without progress after which that is said."""
EVERY = 1.0

_LOG = "huggingface_hub.utils._http"
_WAITS = re.compile(r"(?:Retrying in|Waiting) ([\d.]+)s")


class Watch(logging.Handler):
    """Passes progress on, and speaks when there is none; use it as a context manager.

    Args:
        tell: As :attr:`uploader_core.plugin.StepContext.on_progress`; called by any thread.
    """

    def __init__(self, tell: Callable[[str, int, int | None, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._guard = threading.Lock()
        self._last: tuple[str, int, int | None, str] | None = None
        self._since = self._again = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __call__(self, what: str, done: int, total: int | None, unit: str) -> None:
        """Pass progress on."""
        with self._guard:
            self._last = (what, done, total, unit)
            self._since = self._again = time.monotonic()
        self._tell(what, done, total, unit)

    def emit(self, record: logging.LogRecord) -> None:
        """Hear from the client's log that it waits before it repeats a request."""
        found = _WAITS.search(record.getMessage())
        if found:
            with self._guard:
                self._again = time.monotonic() + float(found[1])

    def look(self, now: float) -> None:
        """Say what there is to say at a moment."""
        with self._guard:
            last, quiet, wait = self._last, now - self._since, self._again - now
        if last is None:
            return
        if wait > 0:
            note = f"trying again in {math.ceil(wait)} s"
        elif quiet >= QUIET:
            note = f"no answer for {int(quiet)} s"
        else:
            return
        what, done, total, unit = last
        phase, colon, detail = what.partition(": ")
        # First, for a terminal cuts off what is last.
        self._tell(f"{phase}: {note}{', ' if colon else ''}{detail}", done, total, unit)

    def __enter__(self) -> Watch:
        logging.getLogger(_LOG).addHandler(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger(_LOG).removeHandler(self)
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            self.look(time.monotonic())
