"""Meet an upload in the middle: it stops wherever it opens a file, and the kit looks around."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


class Meeting:
    """Stops a worker whenever it opens one of some files.

    Args:
        folder: Private folder, by whose files the two sides talk.
        files: The files; their paths are absolute.
        look: Called while the worker waits; it returns whether to meet again.
        most: How often they meet at most.

    Attributes:
        error: What ``look`` raised.
    """

    def __init__(
        self, folder: Path, files: Sequence[Path], look: Callable[[], bool], *, most: int = 60
    ) -> None:
        self._folder = folder
        self._files = files
        self._look = look
        self._most = most
        self._stop = threading.Event()
        self.error: BaseException | None = None

    @property
    def rules(self) -> dict[str, Any]:
        """For the guard in the worker."""
        return {"meet": str(self._folder), "watched": [str(path) for path in self._files]}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Meet until the block ends."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Whoever arrives later than the last meeting goes on at once.
        for number in range(self._most + 1, 10 * self._most):
            (self._folder / f"go-{number}").touch()
        thread = threading.Thread(target=self._meet, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _meet(self) -> None:
        again = True
        for number in range(1, self._most + 1):
            while again and not self._has_come(number):
                if self._stop.is_set():
                    return
                time.sleep(0.002)
            if again:
                try:
                    again = self._look()
                except BaseException as error:  # told by whoever waits for the worker
                    self.error, again = error, False
            (self._folder / f"go-{number}").touch()

    def _has_come(self, number: int) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return int((self._folder / "here").read_text("ascii")) >= number
        return False
