"""Start steps when everything before them is done and their lane has a free place."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Mapping

from uploader_core.planning.plan import PlannedStep
from uploader_core.running.events import EventStream
from uploader_core.running.report import Outcome

_TICK = 0.25
"""Seconds between two occasions to show that time passes."""


def run_steps(
    steps: Iterable[PlannedStep],
    start: Callable[[PlannedStep], Outcome],
    *,
    events: EventStream,
    stop: Callable[[], None],
    jobs: int = 1,
    places: threading.Semaphore | None = None,
    fail_fast: bool = False,
) -> dict[str, Outcome]:
    """Run steps, as many side by side as their lanes allow.

    Args:
        steps: In the order in which ready ones start, each after those that it consumes. Inputs
            that are not among them are there.
        start: Runs one, in a thread of its own.
        events: Where it is said that a step is skipped, and that time passes.
        stop: Called before anything that ends the run is raised; makes ``start`` come back.
        jobs: Places in the ``cpu`` lane.
        places: Those of them that are free, for who takes some as well.
        fail_fast: Start nothing new after the first failure.

    Returns:
        How each ended, by step id.

    Raises:
        CancelledError: As ``start`` raises it, like everything else.
    """
    waiting = [*steps]
    todo = {step.id for step in waiting}
    free = {lane: threading.Semaphore() for lane in ("gpu", "network")}
    free["cpu"] = places or threading.Semaphore(jobs)
    running: dict[concurrent.futures.Future[Outcome], PlannedStep] = {}
    outcomes: dict[str, Outcome] = {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(8, jobs + 4)) as pool:
        try:
            while waiting or running:
                for step in [*waiting]:
                    if any(i in todo and i not in outcomes for i in step.inputs):
                        continue
                    blocker = _blocker(step, outcomes, fail_fast=fail_fast)
                    if blocker is not None:
                        events.emit("step_skipped", step.id, because=blocker)
                        outcomes[step.id] = Outcome(step=step.id, status="skipped", because=blocker)
                    elif step.lane not in free or free[step.lane].acquire(blocking=False):
                        running[pool.submit(start, step)] = step
                    else:
                        continue
                    waiting.remove(step)
                if not running:
                    continue
                # With a limit: time is shown to pass, and Windows lets Ctrl-C through.
                finished, _ = concurrent.futures.wait(
                    running, _TICK, return_when=concurrent.futures.FIRST_COMPLETED
                )
                events.tick()
                for future in finished:
                    step = running.pop(future)
                    if step.lane in free:
                        free[step.lane].release()
                    outcomes[step.id] = future.result()
        except BaseException:
            stop()
            raise
    return outcomes


def _blocker(step: PlannedStep, outcomes: Mapping[str, Outcome], *, fail_fast: bool) -> str | None:
    """Return the step because of which another cannot start, None when it can."""
    for source in step.inputs:
        if source in outcomes and outcomes[source].status in ("failed", "skipped"):
            return source
    if fail_fast:
        return next((o.step for o in outcomes.values() if o.status == "failed"), None)
    return None
