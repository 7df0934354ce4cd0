"""How far a run is, from its plan and its events: what renderers show.

Times are extrapolated from what this run measured; until something was measured there is none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from uploader_core.events import Event
from uploader_core.parsing import expect
from uploader_core.plan import Plan, PlannedStep

_START = 2.0  # seconds until a worker does something
_WRITES = 100e6  # bytes in a second, only to weigh steps against each other
_SENDS = 20e6


@dataclass(kw_only=True, slots=True)
class StepProgress:
    """One step, as far as its events told.

    Attributes:
        id: Step id.
        state: ``waiting``, ``running``, ``done``, ``kept``, ``failed`` or ``skipped``.
        started: Seconds since the epoch, 0 before.
        seconds: How long it took, when it is done.
        what: What it is at.
        done: Of ``total``, in ``unit``.
        total: None when it is not known.
        unit: ``bytes`` or whatever the step counts.
        phase: When ``what`` began.
        base: ``done`` at that moment.
    """

    id: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    what: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    phase: float = 0.0
    base: int = 0

    @property
    def over(self) -> bool:
        return self.state not in ("waiting", "running")

    def fraction(self) -> float | None:
        """Return the share that is done, None when the step has not told."""
        return min(1.0, self.done / self.total) if self.total and self.unit == "bytes" else None

    def rate(self, now: float) -> float | None:
        """Return bytes in a second since the step began what it is at."""
        passed = now - self.phase
        moved = self.done - self.base
        return moved / passed if self.unit == "bytes" and moved and passed > 0.5 else None


class Tracker:
    """Listens to the events of a run and tells how far it is.

    Attributes:
        steps: By id, in the order of the plan.
    """

    def __init__(self) -> None:
        self.steps: dict[str, StepProgress] = {}
        self._plan: tuple[PlannedStep, ...] = ()

    def begin(self, plan: Plan, kept: Collection[str]) -> None:
        """Take the plan that is going to run."""
        self._plan = tuple(s for s in plan.steps if not s.is_virtual)
        self.steps = {
            s.id: StepProgress(id=s.id, state="kept" if s.id in kept else "waiting")
            for s in self._plan
        }

    def __call__(self, event: Event) -> None:
        step = self.steps.get(event.step)
        if step is None:
            return
        if event.type == "step_started":
            step.state, step.started, step.phase = "running", event.time, event.time
        elif event.type == "step_progress":
            what = str(event.data["what"])
            done = expect(event.data["done"], int)
            total = event.data["total"]
            total = None if total is None else expect(total, int)
            # What follows a colon is detail: the same is still going on.
            if what.partition(": ")[0] != step.what.partition(": ")[0] or done < step.done:
                step.phase, step.base = event.time, done
            step.what, step.done, step.total = what, done, total
            step.unit = str(event.data["unit"])
        elif event.type in ("step_done", "step_failed", "step_skipped", "step_kept"):
            step.state = event.type.removeprefix("step_")
            step.seconds = event.time - step.started if step.started else 0.0

    def running(self) -> list[StepProgress]:
        return [step for step in self.steps.values() if step.state == "running"]

    def remaining(self, now: float) -> tuple[float | None, float | None]:
        """Say how long it takes yet.

        Args:
            now: Seconds since the epoch.

        Returns:
            Seconds to the first artifact that can be used (0 when there is one, None when it is
            not known) and to the end.
        """
        pace = self._pace(now)
        if pace is None:
            return None, None
        left = {s.id: self._left(s, now, pace) for s in self._plan}
        ends: dict[str, float] = {}
        for step in self._plan:
            before = max((ends.get(i, 0.0) for i in step.inputs), default=0.0)
            ends[step.id] = before + left[step.id]
        lanes: dict[str, float] = {}
        for step in self._plan:
            lane = step.spec.resources.lane
            if lane != "light":
                lanes[lane] = lanes.get(lane, 0.0) + left[step.id]
        made = [ends[s.id] for s in self._plan if s.kind not in ("document", "upload")]
        return min(made, default=None), max([*ends.values(), *lanes.values()], default=0.0)

    def _pace(self, now: float) -> float | None:
        """Return measured by expected time of everything that was measured."""
        measured = expected = 0.0
        for step in self._plan:
            progress = self.steps[step.id]
            fraction = progress.fraction()
            if progress.state == "done":
                measured += progress.seconds
                expected += _weight(step)
            elif progress.state == "running" and fraction is not None and fraction > 0.02:
                measured += now - progress.started
                expected += fraction * _weight(step)
        return measured / expected if expected else None

    def _left(self, step: PlannedStep, now: float, pace: float) -> float:
        progress = self.steps[step.id]
        if progress.over:
            return 0.0
        if progress.state == "waiting":
            return pace * _weight(step)
        rate = progress.rate(now)
        if rate and progress.total is not None:
            return max(0.0, (progress.total - progress.done) / rate)
        return max(0.0, pace * _weight(step) - (now - progress.started))


def _weight(step: PlannedStep) -> float:
    estimate = step.estimate
    if step.seconds is not None:
        return step.seconds
    light = step.spec.isolation == "inline"
    work = estimate.bytes_written / _WRITES + estimate.bytes_sent / _SENDS
    return (0.1 if light else _START) + work
