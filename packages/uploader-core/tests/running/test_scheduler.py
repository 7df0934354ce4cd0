"""Steps start after what they consume, as far as lanes and failures let them."""

from __future__ import annotations

import threading
import types

import pytest

from uploader_core.contract.costs import Resources
from uploader_core.contract.specs import SaveSpec
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import Entry
from uploader_core.plugins.registry import Plugin
from uploader_core.running.events import Event, EventStream
from uploader_core.running.report import Outcome
from uploader_core.running.scheduler import run_steps


def planned(step_id: str, *inputs: str) -> PlannedStep:
    spec = SaveSpec(
        name=step_id,
        summary="s",
        run="m:m",
        consumes=("adapter",),
        produces="acme.s",
        resources=Resources(lane="cpu"),
    )
    entry = Entry(group="g", name="acme", module="m", distribution="acme", version="1")
    plugin = Plugin(id="acme", entry=entry, module=types.ModuleType("m"), specs=(spec,))
    return PlannedStep(id=step_id, plugin=plugin, spec=spec, inputs=inputs, kind="acme.s")


STEPS = [
    planned("a", "source:adapter", "kept"),
    planned("b", "source:adapter"),
    planned("c", "a"),
    planned("d", "c", "b"),
]


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_step_starts_after_what_it_consumes(jobs: int) -> None:
    done: list[str] = []
    together = threading.Semaphore(jobs)

    def start(step: PlannedStep) -> Outcome:
        assert together.acquire(blocking=False)
        assert {i for i in step.inputs if i in "abcd"} <= {*done}
        done.append(step.id)
        together.release()
        return Outcome(step=step.id, status="done")

    outcomes = run_steps(STEPS, start, events=EventStream(), stop=lambda: None, jobs=jobs)
    assert {o.status for o in outcomes.values()} == {"done"}
    if jobs == 1:
        assert done == ["a", "b", "c", "d"]


def test_what_waits_for_a_failed_step_is_skipped_and_the_rest_is_not() -> None:
    seen: list[Event] = []

    def start(step: PlannedStep) -> Outcome:
        return Outcome(step=step.id, status="failed" if step.id == "a" else "done")

    outcomes = run_steps(STEPS, start, events=EventStream(seen.append), stop=lambda: None)
    assert {o.step: (o.status, o.because) for o in outcomes.values()} == {
        "a": ("failed", None),
        "b": ("done", None),
        "c": ("skipped", "a"),
        "d": ("skipped", "c"),
    }
    assert [(e.type, e.step) for e in seen] == [("step_skipped", "c"), ("step_skipped", "d")]


def test_what_a_start_raises_ends_the_run_and_stops_the_rest() -> None:
    stopped: list[bool] = []

    def start(step: PlannedStep) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_steps(STEPS, start, events=EventStream(), stop=lambda: stopped.append(True))
    assert stopped == [True]
