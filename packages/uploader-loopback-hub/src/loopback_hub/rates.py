"""How many requests the loopback Hub takes in a while, and how it says so.

The Hub counts per account in windows of fixed length, and every answer says what is left:
``RateLimit: "api";r=12;t=55`` are twelve requests in the next 55 seconds.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """So many requests of an account in so many seconds.

    Attributes:
        count: How many are answered in one window; the rest gets 429.
        seconds: Length of a window, which begins with the first request.
        path: Which requests count: regular expression, searched in ``METHOD /path``.
    """

    count: int
    seconds: float
    path: str = r" /api/"


class Rates:
    """Counts requests.

    Args:
        rates: What is allowed; a request must fit all that are about it.

    Attributes:
        rates: See above; may be changed at any time.
        clock: Tells the time in seconds; a test may have one of its own.
    """

    def __init__(self, rates: Sequence[Rate] = ()) -> None:
        self.rates = tuple(rates)
        self._guard = threading.Lock()
        self._windows: dict[tuple[Rate, str], tuple[float, int]] = {}
        self.clock: Callable[[], float] = time.monotonic

    def count(self, request: str, account: str) -> tuple[bool, dict[str, str]]:
        """Count a request.

        Args:
            request: ``METHOD /path``.
            account: Who asks.

        Returns:
            Whether it is answered, and the headers that tell what is left.
        """
        fits, headers = True, {}
        with self._guard:
            now = self.clock()
            for rate in self.rates:
                if not re.search(rate.path, request):
                    continue
                began, used = self._windows.get((rate, account), (now, 0))
                if now - began >= rate.seconds:
                    began, used = now, 0
                self._windows[rate, account] = began, used + 1
                left = max(0, rate.count - used - 1)
                if used >= rate.count or fits:
                    headers = _headers(rate, left, began + rate.seconds - now)
                fits &= used < rate.count
        return fits, headers


def _headers(rate: Rate, left: int, seconds: float) -> dict[str, str]:
    return {
        "RateLimit": f'"api";r={left};t={math.ceil(seconds)}',
        "RateLimit-Policy": f'"fixed window";"api";q={rate.count};w={math.ceil(rate.seconds)}',
    }
