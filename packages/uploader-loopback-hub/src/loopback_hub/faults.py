"""Faults that a test can order from the loopback Hub."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["refuse", "stall", "late", "drop", "lose"]


@dataclass
class Fault:
    """What shall go wrong, where and how often.

    Attributes:
        kind: ``refuse`` answers with ``status`` and does nothing; ``stall`` waits ``seconds``
            before it does anything, so the work may be done when nobody waits for it any more;
            ``late`` does the work at once and answers after ``seconds``; ``drop`` closes the
            connection after ``after`` bytes of the request's body; ``lose`` does the work and
            closes the connection without an answer.
        path: Regular expression, searched in ``METHOD /path``.
        times: How many requests it hits.
        status: For ``refuse``.
        headers: For ``refuse``, such as ``RateLimit`` or ``Retry-After``. ``{token}`` in one is the
            token of the request, which a careless server might quote.
        seconds: For ``stall`` and ``late``.
        after: For ``drop``, bytes.
    """

    kind: Kind
    path: str
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after: int = 0


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Order a fault; those ordered first are tried first."""
        with self._guard:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget the faults that are still to come."""
        with self._guard:
            self._waiting.clear()

    def take(self, request: str) -> Fault | None:
        """Return the fault that hits a request (``METHOD /path``) and count it."""
        with self._guard:
            for fault in self._waiting:
                if fault.times > 0 and re.search(fault.path, request):
                    fault.times -= 1
                    return fault
        return None
