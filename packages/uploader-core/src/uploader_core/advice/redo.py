"""Which steps run again because the user says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from uploader_core.errors import UsageError
from uploader_core.human_text import did_you_mean
from uploader_core.planning.plan import Plan


def mark(plan: Plan, names: Iterable[str]) -> Plan:
    """Return a plan in which some steps run again, and those that depend on them.

    Args:
        plan: From the planner.
        names: Of steps, of plugins, which stand for all their steps, of artifact kinds, or of
            destinations as the user wrote them.

    Raises:
        UsageError: Nothing in the plan is called so.
    """
    called = {
        step.id: {*filter(None, (step.id, step.plugin.id, *step.kinds, step.destination))}
        for step in plan.steps
    }
    found: set[str] = set()
    for name in names:
        meant = {step for step, several in called.items() if name.rstrip("/") in several}
        if not meant:
            known = sorted(set().union(*called.values()))
            raise UsageError(
                f"--redo {name}: no step of this plan is called so",
                owner="option --redo",
                safe="nothing was written",
                next=did_you_mean(name, known, most=3) or f"the steps: {', '.join(called)}",
            )
        found |= meant
    for step in plan.steps:
        if found & {*step.inputs}:
            found.add(step.id)
    return replace(plan, redo=frozenset(found))
