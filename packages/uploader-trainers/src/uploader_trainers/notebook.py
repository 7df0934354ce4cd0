"""One progress display for Jupyter and Colab; on a terminal, that of the command.

It is one output that is replaced, by the thread that runs the cell: nested bars of several threads
freeze in Colab. A plain line once a minute is what is left when the tab was loaded again.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

import click

from uploader_core.api import (
    Event,
    StepProgress,
    Survey,
    Tracker,
    duration_text,
    left_text,
    make_console,
    make_renderer,
    size_text,
)
from uploader_trainers import html

_EVERY = 0.5
_LINE_EVERY = 60.0


class Screen(Protocol):
    """What a run shows itself on."""

    def begin(self, survey: Survey) -> None: ...

    def __call__(self, event: Event) -> None: ...


def in_notebook() -> bool:
    """Return whether output goes to a notebook's cell."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


@contextlib.contextmanager
def display(*, quiet: bool = False) -> Iterator[Screen]:
    """Choose the display that fits where the code runs."""
    if quiet or not in_notebook():
        with make_renderer(make_console(stderr=True), enabled=not quiet) as renderer:
            yield renderer
        return
    screen = NotebookScreen()
    try:
        yield screen
    finally:
        screen.close()


class NotebookScreen:
    """Shows a run below the cell."""

    def __init__(self) -> None:
        from IPython.display import display as show

        self._tracker = Tracker()
        self._handle: Any = None
        self._show: Any = show
        self._drawn = 0.0
        self._line = self._started = time.time()

    def begin(self, survey: Survey) -> None:
        self._tracker.begin(survey.plan, survey.kept)
        self._handle = self._show(_Html(self.render()), display_id=True)

    def __call__(self, event: Event) -> None:
        # From the threads of the steps: noted here, shown by tick.
        self._tracker(event)

    def tick(self) -> None:
        """Show what has changed; called by the thread that runs the cell."""
        now = time.time()
        if self._handle is not None and now - self._drawn >= _EVERY:
            self._drawn = now
            self._handle.update(_Html(self.render()))
        if now - self._line >= _LINE_EVERY:
            self._line = now
            running = ", ".join(step.id for step in self._tracker.running())
            click.echo(f"{duration_text(now - self._started)}: {running}")

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update(_Html(self.render()))

    def render(self) -> str:
        """Return the table of all steps and the times that are left."""
        now = time.time()
        rows = [
            html.line(_cells(s, now), fraction=_filled(s)) for s in self._tracker.steps.values()
        ]
        text = left_text(*self._tracker.remaining(now))
        left = html.note("", text, None) if text else ""
        return f"<table><tbody>{''.join(rows)}</tbody></table>{left}"


class _Html:
    """A display object that says the same as plain text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "uploader's progress"


def _filled(step: StepProgress) -> float | None:
    return 1.0 if step.state in ("done", "kept") else step.fraction()


def _cells(step: StepProgress, now: float) -> list[str]:
    if step.state != "running":
        return [step.id, step.state, duration_text(step.seconds) if step.state == "done" else ""]
    amount, rate = "", step.rate(now)
    if step.unit == "bytes":
        amount = size_text(step.done) + (f" of {size_text(step.total)}" if step.total else "")
        amount += f", {size_text(int(rate))}/s" if rate else ""
    return [step.id, step.what or "running", amount]
