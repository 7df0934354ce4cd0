"""What this machine means for a plan: times, room, memory, names."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from uploader_core.advice.destination_warnings import destination_warnings
from uploader_core.advice.disk_space import assess, refusals
from uploader_core.advice.step_times import load as load_pace
from uploader_core.advice.step_times import with_time
from uploader_core.contract.specs import Finding
from uploader_core.errors import (
    RefusedError,
    UploaderError,
)
from uploader_core.human_text import size_text
from uploader_core.machine import filesystems, host, windows
from uploader_core.machine.memory import look as look_at_memory
from uploader_core.planning.plan import Plan
from uploader_core.planning.present import Present

_WORTH_SAYING = 256 << 20
"""Bytes below which a slow disk is nothing to mention."""


def advise(
    plan: Plan, kept: Collection[str], *, jobs: int = 1, present: Present | None = None
) -> tuple[Plan, list[UploaderError]]:
    """Complete a prepared plan with times, room on disks and warnings about this machine.

    Args:
        plan: With estimates.
        kept: Steps that will not run.
        jobs: Heavy steps side by side.
        present: What is in the release folder already.

    Returns:
        The completed plan, and every error that refuses the run.
    """
    pace = load_pace()
    steps = tuple(
        step if step.id in kept or step.is_virtual else with_time(step, pace) for step in plan.steps
    )
    plan = replace(plan, steps=steps)
    plan = replace(plan, space=assess(plan, kept, jobs=jobs, present=present))
    errors = [*refusals(plan, kept, jobs=jobs, present=present), *_check_names(plan, set(kept))]
    warnings = (
        *plan.warnings,
        *destination_warnings(plan, kept),
        *_slow_places(plan),
        *_short_of_memory(plan, set(kept), jobs),
    )
    return replace(plan, warnings=warnings), errors


def _slow_places(plan: Plan) -> Iterator[Finding]:
    """Warn of file systems on which gigabytes take very long."""
    for system in plan.space:
        mount = filesystems.find_mount(system.path)
        why = None if mount is None else filesystems.slow_because(mount)
        if why is not None and system.peak > _WORTH_SAYING:
            yield Finding(
                level="warning",
                what=why,
                next="--output on a disk of this system" if "release" in system.uses else None,
            )


def _short_of_memory(plan: Plan, kept: set[str], jobs: int) -> Iterator[Finding]:
    """Warn of steps that need more memory than there is; how much they need is an upper bound."""
    memory = look_at_memory()
    if memory is None:
        return
    room = memory.total if memory.available is None else memory.available
    steps = sorted(
        (s for s in plan.steps if s.id not in kept), key=lambda s: -s.estimate.peak_memory
    )
    for step in steps:
        needed = step.estimate.peak_memory
        if needed > room:
            of = f" ({memory.limited_by})" if memory.limited_by else ""
            yield Finding(
                level="warning",
                what=f"{step.id} needs up to {size_text(needed)} of memory, and "
                f"{size_text(room)} are available{of}",
                next="close other programs, or run it where there is more",
            )
    together = sum(s.estimate.peak_memory for s in steps[:jobs])
    if jobs > 1 and steps and steps[0].estimate.peak_memory <= room < together:
        yield Finding(
            level="warning",
            what=f"{jobs} steps side by side need up to {size_text(together)} of memory, and "
            f"{size_text(room)} are available",
            next="--jobs 1",
        )


def _check_names(plan: Plan, kept: set[str]) -> list[UploaderError]:
    """Refuse on Windows what Windows could not write, before hours are spent on it."""
    facts = host.look()
    if facts.system != "Windows":
        return []
    names = [
        f"{step.folder}/{name}"
        for step in plan.artifacts
        if step.id not in kept
        for name, _ in step.estimate.files
    ]
    problems = windows.path_problems(str(plan.output), names, long_paths=facts.long_paths)
    return [
        RefusedError(
            problem,
            owner="the rules of Windows for names",
            safe="nothing was written",
            next="choose a shorter --output or --name, or switch long paths on "
            "(LongPathsEnabled, see `uploader doctor`)",
        )
        for problem in problems
    ]
