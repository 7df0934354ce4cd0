"""How far a run is, as its events tell and as a terminal shows it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from uploader_core.cli import live
from uploader_core.cli import progress as module
from uploader_core.cli.live import LiveRenderer
from uploader_core.cli.progress import StepProgress, Tracker
from uploader_core.contract.context import ReleaseInfo
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import DocumentSpec, SaveSpec
from uploader_core.planning.plan import Plan, PlannedStep, Survey
from uploader_core.plugins.entry_points import Entry
from uploader_core.plugins.registry import Plugin
from uploader_core.running.events import Event


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


def planned(step_id: str, seconds: float | None) -> PlannedStep:
    """A format, or a measurement of one where the id has a subject."""
    name = step_id.partition(":")[2].partition("@")[0]
    spec: SaveSpec | DocumentSpec = SaveSpec(
        name=name, summary="s", run="m:m", consumes=("adapter",), produces="acme.s"
    )
    if "@" in step_id:
        spec = DocumentSpec(name=name, summary="s", run="m:m", output="x.json", measures=True)
    entry = Entry(group="g", name="acme", module="m", distribution="acme", version="1")
    plugin = Plugin(id="acme", entry=entry, module=module, specs=(spec,))
    kind = "document" if "@" in step_id else "acme.s"
    return PlannedStep(id=step_id, plugin=plugin, spec=spec, inputs=(), kind=kind, seconds=seconds)


def survey_of(folder: Path, **seconds: float | None) -> Survey:
    names = {"a": "acme:a", "measured": "acme:m@a", "again": "acme:m@b"}
    plan = Plan(
        sources=Sources(kind="adapter", folder=folder, artifacts={}),
        release=ReleaseInfo(name="m", source="adapter"),
        output=folder,
        steps=tuple(planned(names[name], time) for name, time in seconds.items()),
    )
    return Survey(plan=plan, kept=frozenset())


def begun(survey: Survey) -> Tracker:
    """A run whose format took its ten seconds, and whose measurement begins at 110 s."""
    tracker = Tracker()
    tracker.begin(survey.plan, survey.kept)
    steps = ((100.0, "started", "a"), (110.0, "done", "a"), (110.0, "started", "m@a"))
    for time, kind, step in steps:
        tracker(Event(type=f"step_{kind}", step=f"acme:{step}", time=time, data={}))
    return tracker


def test_step_that_takes_longer_than_was_thought_takes_longer_still(tmp_path: Path) -> None:
    tracker = begun(survey_of(tmp_path, a=10.0, measured=20.0))
    ends = [tracker.remaining(110.0 + passed)[1] for passed in (5, 15, 60, 120, 180)]
    assert all(end is not None for end in ends)
    assert ends[0] == pytest.approx(15.0)
    assert ends[1] == pytest.approx(5.0)
    assert ends[2:] == [pytest.approx(max(60 * 0.25, 0)), pytest.approx(30), pytest.approx(45)]


def test_step_without_an_estimate_makes_the_end_unknown_and_not_near(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, a=10.0, measured=None)
    tracker = begun(survey)
    assert tracker.remaining(111.0) == (0.0, None)
    tracker(Event(type="step_done", step="acme:m@a", time=300.0, data={}))
    assert tracker.remaining(300.0) == (0.0, 0.0)


def test_step_that_counts_anything_is_extrapolated(tmp_path: Path) -> None:
    tracker = begun(survey_of(tmp_path, a=10.0, measured=None))
    for time, done in ((110.0, 0), (120.0, 10)):
        data = {"what": "measuring", "done": done, "total": 100, "unit": "steps"}
        tracker(Event(type="step_progress", step="acme:m@a", time=time, data=data))
    assert tracker.remaining(120.0)[1] == pytest.approx(90.0)
    assert tracker.remaining(130.0)[1] == pytest.approx(180.0)  # silent, so slower than it was


def test_what_one_measurement_took_is_expected_of_the_next(tmp_path: Path) -> None:
    tracker = begun(survey_of(tmp_path, a=10.0, measured=None, again=None))
    tracker(Event(type="step_done", step="acme:m@a", time=160.0, data={}))
    assert tracker.remaining(160.0)[1] == pytest.approx(50.0)


def test_step_that_counted_all_and_goes_on_is_not_called_finished(tmp_path: Path) -> None:
    tracker = begun(survey_of(tmp_path, a=10.0, measured=20.0))
    for time, done in ((110.0, 0), (120.0, 100)):
        data = {"what": "measuring", "done": done, "total": 100, "unit": "steps"}
        tracker(Event(type="step_progress", step="acme:m@a", time=time, data=data))
    assert tracker.remaining(150.0)[1] == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("estimate", "passed", "shown"),
    [(None, 60.0, "time left not known yet"), (20.0, 180.0, "all in ~45 s")],
)
def test_terminal_shows_no_time_that_has_passed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    estimate: float | None,
    passed: float,
    shown: str,
) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=False)
    renderer = LiveRenderer(console, live.Live(console=console))
    renderer._tracker = begun(survey_of(tmp_path, a=10.0, measured=estimate))
    monkeypatch.setattr(live.time, "time", lambda: 110.0 + passed)
    console.print(renderer)
    assert shown in out.getvalue()
