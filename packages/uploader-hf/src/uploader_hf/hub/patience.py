"""Repeat what may be repeated, as long as the Hub says, with a countdown that a person can see."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from uploader_hf.hub.errors import asked_to_wait, is_passing, translate

T = TypeVar("T")

ATTEMPTS = 6
_LONGEST_WAIT = 300


class Patience:
    """Asks again after failures that pass.

    Only for requests that may arrive twice: questions, and changes to a state that is named in full
    (make this repository, set this tag). A commit is none of them.

    Args:
        repo: Repository, for messages.
        tell: Is told every second what it waits for; it may raise to stop.

    Attributes:
        waits: How often it had to wait.
    """

    def __init__(self, repo: str, tell: Callable[[str], None] = lambda _: None) -> None:
        self._repo = repo
        self._tell = tell
        self.waits = 0

    def call(self, what: str, function: Callable[[], T]) -> T:
        """Call a function, again where that may help.

        Args:
            what: What is being done, to begin a sentence: ``listing me/model``.
            function: What asks the Hub.

        Raises:
            UploaderError: The last failure in our words.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return function()
            except Exception as error:
                if attempt == ATTEMPTS or not is_passing(error):
                    raise translate(error, what, repo=self._repo) from None
                self.wait(error, attempt)
        raise AssertionError(what)

    def wait(self, error: BaseException, attempt: int) -> None:
        """Wait before the next attempt: as long as the Hub says, or twice as long each time."""
        self.waits += 1
        seconds = min(_LONGEST_WAIT, asked_to_wait(error) or 2 ** (attempt - 1))
        for left in range(seconds, 0, -1):
            self._tell(f"{self._repo}: trying again in {left} s")
            time.sleep(1)
