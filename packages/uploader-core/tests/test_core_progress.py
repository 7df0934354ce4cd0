"""How far a run is, as its events tell and as a terminal shows it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.live import Live

from uploader_core.cli.live import LiveRenderer
from uploader_core.events import Event
from uploader_core.progress import StepProgress, Tracker


def progress(tracker: Tracker, time: float, what: str, done: int) -> StepProgress:
    data = {"what": what, "done": done, "total": 1000, "unit": "bytes"}
    tracker(Event(type="step_progress", step="s", time=time, data=data))
    return tracker.steps["s"]


@pytest.fixture
def tracker() -> Tracker:
    """A run of one step, which began at 100 s."""
    tracker = Tracker()
    tracker.steps = {"s": StepProgress(id="s")}
    tracker(Event(type="step_started", step="s", time=100.0, data={}))
    return tracker


def test_rate_is_that_of_the_phase_whatever_its_detail_says(tracker: Tracker) -> None:
    progress(tracker, 100.0, "comparing", 0)
    progress(tracker, 110.0, "sending: a 0%", 0)
    progress(tracker, 111.0, "sending: a 10%", 100)
    assert progress(tracker, 112.0, "sending: b 5%", 200).rate(112.0) == 100.0
    assert progress(tracker, 120.0, "committing: b 5%", 200).rate(121.0) is None


@pytest.mark.parametrize(("width", "lines"), [(100, 2), (50, 3)])
def test_what_a_step_is_at_is_never_cut_off_by_the_rest(
    tracker: Tracker, width: int, lines: int
) -> None:
    what = "sending: model.safetensors 43%, 0:12 left"
    progress(tracker, 101.0, what, 430)
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    renderer = LiveRenderer(console, Live(console=console))
    renderer._tracker = tracker
    console.print(renderer)
    shown = out.getvalue().rstrip("\n").split("\n")
    assert len(shown) == lines
    assert what in out.getvalue()
    assert "430 B of" in shown[0]
