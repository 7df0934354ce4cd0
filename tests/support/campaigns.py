"""Long series of seeded tests: which of them are for every day, and their figures at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import pytest


def seeds(all_of_them: Iterable[int], default: Collection[int]) -> list[Any]:
    """Mark as slow what is not for every day."""
    return [pytest.param(n, marks=[pytest.mark.slow] * (n not in default)) for n in all_of_them]


@contextlib.contextmanager
def figures(
    request: pytest.FixtureRequest, names: Iterable[str], say: Callable[[dict[str, float]], str]
) -> Iterator[dict[str, float]]:
    """Give figures to count with, all zero, and write what is to be said of them at the end."""
    found = dict.fromkeys(names, 0.0)
    yield found
    if any(found.values()):
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            request.config.get_terminal_writer().line(f"\n{say(found)}")


def upload_figures(
    request: pytest.FixtureRequest,
) -> contextlib.AbstractContextManager[dict[str, float]]:
    """The figures of uploads through faults."""
    return figures(
        request,
        ("schedules", "faults", "runs", "again", "most", "size"),
        lambda found: (
            f"{found['schedules']:.0f} schedules, {found['faults']:.0f} faults hit, "
            f"{found['runs']:.0f} runs; sent again {found['again'] / 1e6:.1f} MB of "
            f"{found['size'] / 1e6:.1f} MB in all, at most {found['most']:.2f} releases at once"
        ),
    )
