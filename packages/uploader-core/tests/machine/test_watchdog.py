"""When a worker hangs, and when only time has passed."""

from __future__ import annotations

import itertools
import math
import threading
from types import SimpleNamespace

import pytest

from uploader_core.machine import watchdog
from uploader_core.machine.watchdog import Watchdog


def test_time_in_which_the_machine_stood_still_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []

    def idle(pid: int) -> tuple[float, int]:
        looks.append(pid)
        return 0.0, 0

    # An hour passes between two looks, as while a computer sleeps.
    hours = itertools.count(0, 3600).__next__
    monkeypatch.setattr(watchdog, "activity", idle)
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=hours))
    bitten = threading.Event()
    with Watchdog(4711, 0.04, math.inf, bitten.set):
        assert bitten.wait(60)
    assert len(looks) > 3  # it was looked at as often as in a silence of that length
