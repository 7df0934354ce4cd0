"""How far a run is, from its plan and its events: what renderers show.

Times are extrapolated from what this run measured; until something was measured there is none. A
step that nobody can estimate makes the whole unknown, and one that takes longer than was thought
takes longer still: a time that shrinks to nothing while the run goes on is worse than none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.running.events import Event
from uploader_core.untrusted_json import expect

_START = 2.0  # seconds until a worker does something
_WRITES = 100e6  # bytes in a second, only to weigh steps against each other
_SENDS = 20e6
_OVERDUE = 0.25
"""Least time left of a step, as a share of the time so far, where nothing else is known."""


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
        heard: When it last told anything.
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
    heard: float = 0.0

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

    def left(self, now: float) -> float | None:
        """Return the seconds that what it is at takes yet, in whatever it counts; None unknown."""
        passed, moved = now - self.phase, self.done - self.base
        if not self.total or moved <= 0 or passed <= 0.5:
            return None
        if self.done >= self.total:
            return now - self.heard  # there is more to it than it counted
        return (self.total - self.done) * passed / moved


class Tracker:
    """Listens to the events of a run and reports how far it is.

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
            step.state = "running"
            step.started = step.phase = step.heard = event.time
        elif event.type == "step_progress":
            what = str(event.data["what"])
            done = expect(event.data["done"], int)
            total = event.data["total"]
            total = None if total is None else expect(total, int)
            # What follows a colon is detail: the same is still going on.
            if what.partition(": ")[0] != step.what.partition(": ")[0] or done < step.done:
                step.phase, step.base = event.time, done
            step.what, step.done, step.total, step.heard = what, done, total, event.time
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
            Seconds to the first artifact that can be used (0 when there is one) and to the end;
            None for what is not known, such as an end behind a step that nobody can estimate.
        """
        pace = self._pace(now)
        if pace is None:
            return None, None
        left = {s.id: self._left(s, now, pace) for s in self._plan}
        ends: dict[str, float | None] = {}
        for step in self._plan:
            before = _longest(ends.get(i, 0.0) for i in step.inputs)
            own = left[step.id]
            ends[step.id] = None if before is None or own is None else before + own
        lanes: dict[str, list[float | None]] = {}
        for step in self._plan:
            if step.lane != "light":
                lanes.setdefault(step.lane, []).append(left[step.id])
        made = [ends[s.id] for s in self._plan if s.kind not in ("document", "upload")]
        known = [end for end in made if end is not None]
        sums = (None if None in lane else sum(t for t in lane if t) for lane in lanes.values())
        return min(known, default=None), _longest([*ends.values(), *sums])

    def _pace(self, now: float) -> float | None:
        """Return measured by expected time of everything that was measured.

        A step that takes longer than was thought counts with what it took so far.
        """
        measured = expected = 0.0
        for step in self._plan:
            progress = self.steps[step.id]
            fraction = progress.fraction()
            if not _told(step):
                continue
            if progress.state == "done":
                measured += progress.seconds
                expected += _weight(step)
            elif progress.state == "running" and fraction is not None and fraction > 0.02:
                measured += now - progress.started
                expected += fraction * _weight(step)
            elif progress.state == "running" and now - progress.started > _weight(step):
                measured += now - progress.started
                expected += _weight(step)
        return measured / expected if expected else None

    def _left(self, step: PlannedStep, now: float, pace: float) -> float | None:
        progress = self.steps[step.id]
        if progress.over:
            return 0.0
        expected = self._expected(step, pace)
        if progress.state == "waiting":
            return expected
        left = progress.left(now)
        if left is not None:
            return left
        if expected is None:
            return None
        passed = now - progress.started
        return max(expected - passed, _OVERDUE * passed)

    def _expected(self, step: PlannedStep, pace: float) -> float | None:
        """Return how long a step takes in all, None where neither it nor one like it told."""
        if _told(step):
            return pace * _weight(step)
        name = step.id.partition("@")[0]
        alike = [
            progress.seconds
            for progress in self.steps.values()
            if progress.state == "done" and progress.id.partition("@")[0] == name
        ]
        return max(alike, default=None)


def _longest(times: Iterable[float | None]) -> float | None:
    """Return the longest of several times, None when one of them is not known."""
    found = [*times]
    return None if None in found else max((t for t in found if t is not None), default=0.0)


def _told(step: PlannedStep) -> bool:
    """Return whether something is known of how long a step takes.

    What says what records say is quick; a measurement, or a format of anybody's, may not be.
    """
    known = step.seconds is not None or step.estimate.bytes_written or step.estimate.bytes_sent
    return bool(known) or step.tells or step.spec.isolation == "inline"


def _weight(step: PlannedStep) -> float:
    estimate = step.estimate
    if step.seconds is not None:
        return step.seconds
    light = step.spec.isolation == "inline"
    work = estimate.bytes_written / _WRITES + estimate.bytes_sent / _SENDS
    return (0.1 if light else _START) + work
