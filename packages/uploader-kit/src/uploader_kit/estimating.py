"""What an estimate may be wrong by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from uploader_core.contract.costs import Estimate

FACTOR = 2
MUCH_DISK = 1_000_000
MUCH_MEMORY = 256 << 20
"""An estimate is wrong when it is off by the factor and by as much as this."""

_NOTHING = 100
"""How many times more than it said a step writes whose estimate is no estimate at all."""


def negative(estimate: Estimate) -> list[str]:
    """Say which fields of an estimate are below zero."""
    numbers = {f.name: getattr(estimate, f.name) for f in fields(estimate)}
    numbers |= {f"elsewhere {folder}": size for folder, size in estimate.elsewhere}
    numbers |= {f"files {name}": size for name, size in estimate.files}
    return [
        f"{name} is {number:,}"
        for name, number in numbers.items()
        if isinstance(number, (int, float)) and number < 0
    ]


def wrong(estimate: Estimate, written: int, peak: int | None) -> Iterator[str]:
    """Say by how much an estimate misses what a step did.

    Args:
        estimate: What was said before.
        written: Bytes that the step left.
        peak: The most private memory that it had; None when that was not measured.
    """
    said = estimate.bytes_written
    low, high = sorted((said, written))
    far = high > FACTOR * low and high - low > MUCH_DISK
    if said and not estimate.exact and (far or said * _NOTHING < written):
        yield f"bytes_written said {said:,}, the step wrote {written:,}"
    if peak is not None and peak > max(
        FACTOR * estimate.peak_memory, estimate.peak_memory + MUCH_MEMORY
    ):
        yield (
            f"peak_memory said {estimate.peak_memory / 1e6:,.0f} MB above an idle interpreter, the "
            f"step had {peak / 1e6:,.0f} MB"
        )
