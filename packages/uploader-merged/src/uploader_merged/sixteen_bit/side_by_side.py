"""How much of the machine a merge uses. No torch in here: the plan asks too."""

from __future__ import annotations

import os

_MOST = 4
"""Shards that are written at once, at most: each needs memory for its blocks."""


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(shards: int) -> int:
    """Return how many of so many shards are written at once.

    Each keeps a processor busy with hashing, and about half of one with merging.
    """
    return max(1, min(shards, _MOST, processors() // 2))
