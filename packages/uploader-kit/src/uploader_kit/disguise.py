"""Another clock and another host name, for a worker: what must not be seen in what it makes.

Python's own clocks are put forward: :mod:`time`, :class:`datetime.datetime` and
:class:`datetime.date`. Native code, other programs and the times of files still tell the real time.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any


def put_on(shift: float, host: str | None) -> None:
    """Change what this process sees.

    Args:
        shift: Seconds by which the clock is ahead; 0 for the real time.
        host: Name of the host; None for the real one.
    """
    if shift:
        _shift_time(shift)
        _shift_datetime(datetime.timedelta(seconds=shift))
    if host is not None:
        _rename(host)


def _shift_time(shift: float) -> None:
    real, real_ns = time.time, time.time_ns
    localtime, gmtime, strftime = time.localtime, time.gmtime, time.strftime
    ctime, asctime = time.ctime, time.asctime
    module: Any = time

    def now() -> float:
        return real() + shift

    module.time = now
    module.time_ns = lambda: real_ns() + int(shift * 1e9)
    module.localtime = lambda at=None: localtime(now() if at is None else at)
    module.gmtime = lambda at=None: gmtime(now() if at is None else at)
    module.ctime = lambda at=None: ctime(now() if at is None else at)
    module.asctime = lambda at=None: asctime(localtime(now()) if at is None else at)
    module.strftime = lambda form, at=None: strftime(form, localtime(now()) if at is None else at)


def _shift_datetime(delta: datetime.timedelta) -> None:
    module: Any = datetime
    real_datetime: Any = datetime.datetime
    real_date: Any = datetime.date

    class _Same(type):
        """What C code made, or was told of before, belongs to the class as well."""

        def __instancecheck__(cls, value: object) -> bool:
            return cls.__subclasscheck__(type(value))

        def __subclasscheck__(cls, other: type) -> bool:
            if cls in (Later, LaterDate):
                return issubclass(other, cls.__mro__[1])
            return super().__subclasscheck__(other)

    class Later(real_datetime, metaclass=_Same):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return (real_datetime.now(tz) if cls is Later else super().now(tz)) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return real_datetime.now(datetime.timezone.utc).replace(tzinfo=None) + delta

        @classmethod
        def today(cls) -> Any:
            return real_datetime.now() + delta

    class LaterDate(real_date, metaclass=_Same):  # type: ignore[misc]
        @classmethod
        def today(cls) -> Any:
            return (real_datetime.now() + delta).date()

    for name, later in (("datetime", Later), ("date", LaterDate)):
        later.__name__ = later.__qualname__ = name
        later.__module__ = "datetime"
        setattr(module, name, later)


def _rename(host: str) -> None:
    import socket

    module: Any = socket
    module.gethostname = lambda: host
    if hasattr(os, "uname"):
        found = os.uname()
        named = os.uname_result((found.sysname, host, *found[2:]))
        system: Any = os
        system.uname = lambda: named
