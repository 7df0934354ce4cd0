"""What a plan does to disks, before it runs: bytes at the tightest moment and afterwards.

Every copy counts: artifacts, scratch, documents, records, base models that are still to be
downloaded, copies at a destination on this machine. Folders that are on one file system share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from uploader_core.contract.context import FetchedSource
from uploader_core.contract.costs import Lever
from uploader_core.contract.specs import DocumentSpec
from uploader_core.errors import SpaceError
from uploader_core.human_text import size_text
from uploader_core.machine import filesystems
from uploader_core.planning.plan import FileSystem, Plan, PlannedStep
from uploader_core.planning.present import Present

RESERVE = 64 << 20
"""Bytes that must stay free after everything is written: a full disk breaks other programs."""

_INTERNAL = 256 << 10
"""Bytes of records, events and logs of a run, about."""

_DOCUMENT = 32 << 10
"""Bytes of a document whose spec does not estimate it, about: cards, a plot, a lineage."""

_BLOCK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class _Load:
    """Bytes of one step on one file system: when it has run, and at most while it runs."""

    after: int = 0
    peak: int = 0

    @property
    def passing(self) -> int:
        return self.peak - self.after


def assess(
    plan: Plan, kept: Iterable[str] = (), *, jobs: int = 1, present: Present | None = None
) -> tuple[FileSystem, ...]:
    """Work out what every file system has to hold.

    Args:
        plan: With estimates.
        kept: Steps that will not run.
        jobs: Places in the ``cpu`` lane.
        present: What is there already.

    Returns:
        That of the release first; only those that get something.
    """
    present = present or Present()
    kept = set(kept)
    steps = [s for s in plan.steps if s.id not in kept and not s.is_virtual]
    release = filesystems.device_of(plan.output)
    uses: dict[int, dict[str, Path]] = {}
    loads: dict[int, dict[str, _Load]] = {}
    held: dict[int, int] = {}

    def put(path: Path, use: str) -> int:
        device = filesystems.device_of(path)
        uses.setdefault(device, {}).setdefault(use, path)
        return device

    for download in plan.downloads:
        if download.download:
            device = put(download.cache or download.path, "download")
            held[device] = held.get(device, 0) + download.download
    for step in steps:
        load = _own(step, present.finished.get(step.id, 0))
        if load.peak:
            put(plan.output, "release")
            loads.setdefault(release, {})[step.id] = load
        for folder, size in step.estimate.elsewhere:
            device = put(Path(folder), "copy")
            before = loads.setdefault(device, {}).get(step.id, _Load())
            loads[device][step.id] = _Load(after=before.after + size, peak=before.peak + size)
    if release in loads:
        held[release] = held.get(release, 0) + _INTERNAL
    found = []
    for device, used in uses.items():
        own = loads.get(device, {})
        start = held.get(device, 0)
        peak = start + _tightest(steps, own, jobs)
        after = start + sum(load.after for load in own.values())
        left_over = 0
        if device == release:
            left_over = present.left_over
            after -= sum(present.replaced.get(step_id, 0) for step_id in own)
        path = next(iter(used.values()))
        mount = filesystems.find_mount(path)
        found.append(
            FileSystem(
                path=filesystems.existing(path.absolute()),
                kind="" if mount is None else mount.kind,
                uses=tuple(used),
                free=filesystems.free_bytes(path) or 0,
                peak=max(0, peak - left_over),
                after=after - left_over,
            )
        )
    return tuple(sorted(found, key=lambda f: "release" not in f.uses))


def refusals(
    plan: Plan, kept: Iterable[str] = (), *, jobs: int = 1, present: Present | None = None
) -> list[SpaceError]:
    """Return an error for every file system that is too small, with what would make it fit.

    Args:
        plan: Assessed.
        kept: As in :func:`assess`.
        jobs: As there.
        present: As there.
    """
    kept = set(kept)
    errors = []
    for system in plan.space:
        needed = system.peak + RESERVE
        missing = needed - system.free
        if missing <= 0:
            continue
        levers: list[Lever] = []
        if "release" in system.uses:
            levers = [*_own_levers(plan, kept), *_fewer(plan, kept, system, jobs, present)]
        errors.append(
            SpaceError(
                f"this needs {size_text(needed)} ({needed:,} bytes) for {' and '.join(system.uses)}"
                f" in {system.path}, where {size_text(system.free)} ({system.free:,} bytes) are "
                f"free: {size_text(missing)} too few",
                owner=f"the file system of {system.path}",
                safe="nothing was written",
                next=_advice(plan, levers, system, missing),
            )
        )
    return errors


def _own(step: PlannedStep, finished: int) -> _Load:
    """Return what a step does to the file system of the release."""
    estimate = step.estimate
    written, peak = estimate.bytes_written, estimate.tightest
    if not written and isinstance(step.spec, DocumentSpec):
        written = peak = _DOCUMENT
    # Whole blocks, and a record of each file while the step is not finished.
    rounding = 2 * _BLOCK * len(estimate.files) + (_BLOCK if written else 0)
    peak = max(0, peak - finished)
    return _Load(
        after=max(0, written - finished) + (rounding if peak else 0),
        peak=peak + (rounding if peak else 0),
    )


def _tightest(steps: list[PlannedStep], loads: Mapping[str, _Load], jobs: int) -> int:
    """Return the most bytes at once, in whatever order the lanes let the steps run."""
    after = _followers(steps, jobs)
    most = 0
    for step in steps:
        load = loads.get(step.id)
        if load is None:
            continue
        lane = step.lane
        total = load.peak
        beside: dict[str, list[int]] = {}
        for other in steps:
            theirs = loads.get(other.id)
            if theirs is None or other is step or other.id in after[step.id]:
                continue
            total += theirs.after  # it may be done by then
            if step.id not in after[other.id]:
                beside.setdefault(other.lane, []).append(theirs.passing)
        for other_lane, passing in beside.items():
            places = {"cpu": jobs - (lane == "cpu"), "light": len(passing)}.get(other_lane, 1)
            total += sum(sorted(passing, reverse=True)[:places])
        most = max(most, total)
    return most


def _followers(steps: list[PlannedStep], jobs: int) -> dict[str, set[str]]:
    """Return for each step those that run after it: they need it, or wait for its lane."""
    before: dict[str, set[str]] = {}
    last: dict[str, str] = {}
    for step in steps:  # their order respects the edges
        lane = step.lane
        waits = [*step.inputs]
        if lane in ("gpu", "network") or (lane == "cpu" and jobs == 1):
            waits += [last[lane]] if lane in last else []
            last[lane] = step.id
        before[step.id] = set().union(*({name, *before.get(name, ())} for name in waits))
    return {step.id: {other.id for other in steps if step.id in before[other.id]} for step in steps}


def _advice(plan: Plan, levers: list[Lever], system: FileSystem, missing: int) -> str:
    """Say what would make it fit: single choices that do, else those that help most."""
    elsewhere = []
    if "release" in system.uses:
        elsewhere.append("another disk with --output")
    if "copy" in system.uses:
        elsewhere.append("another folder with --to")
    if "download" in system.uses:
        options = dict.fromkeys(d.cache_option for d in plan.downloads if d.download)
        elsewhere += [f"another place for downloads with {o}" for o in options if o]
    advice = " or ".join(elsewhere)
    levers.sort(key=lambda lever: lever.saves)
    enough = [lever for lever in levers if lever.saves >= missing]
    if enough:
        return f"{advice}; it also fits with {_one_of(enough[:3])}"
    if levers:
        most = _one_of(levers[::-1][:3])
        return f"{advice}; alone none of these suffices, together they may: {most}"
    return f"{advice}, or free {size_text(missing)}"


def _one_of(levers: Iterable[Lever]) -> str:
    return ", or ".join(f"{lever.option} (saves {size_text(lever.saves)})" for lever in levers)


def _own_levers(plan: Plan, kept: set[str]) -> Iterator[Lever]:
    """Yield what plugins offer."""
    for step in plan.artifacts:
        if step.id not in kept:
            yield from step.estimate.levers


def _fewer(
    plan: Plan, kept: set[str], system: FileSystem, jobs: int, present: Present | None
) -> Iterator[Lever]:
    """Yield leaving out one of several formats."""
    asked = [step for step in plan.artifacts if step.needed_by is None]
    for step in asked:
        others = [other.kind for other in asked if other is not step]
        if step.id in kept or not others:
            continue
        rest = replace(plan, steps=_without(plan, step.id))
        left = assess(rest, kept, jobs=jobs, present=present)
        peak = next((found.peak for found in left if "release" in found.uses), 0)
        yield Lever(option=f"--plugins {','.join(others)}", saves=system.peak - peak)


def _without(plan: Plan, step_id: str) -> tuple[PlannedStep, ...]:
    """Return the steps that are left when nobody asks for one of them."""
    left = {step.id: step for step in plan.steps if step.id != step_id}
    while True:
        used = {i for step in left.values() for i in step.inputs}
        gone = [
            step.id
            for step in left.values()
            if ((step.is_virtual or step.needed_by) and step.id not in used)
            or not any(i in left or i.startswith("source:") for i in step.inputs)
        ]
        if not gone:
            return tuple(left.values())
        for name in gone:
            del left[name]


def with_needs(error: SpaceError, step: PlannedStep, release: Path, finished: int) -> SpaceError:
    """Return the error of a step that ran out of room with how much more it needs.

    Args:
        error: Of the step, whose scratch is gone by now.
        step: The step.
        release: The release folder.
        finished: Bytes of files that it finished and that are kept.
    """
    needs = dict(step.estimate.elsewhere)
    if step.folder is not None and step.estimate.tightest:
        needs[str(release)] = step.estimate.tightest - finished
    what = error.what
    for folder, needed in needs.items():
        free = filesystems.free_bytes(Path(folder)) or 0
        what += f"; to finish it needs {needed:,} bytes, and {free:,} bytes are free now"
    return error.replace(what=what)


def downloads_fit(downloads: Iterable[FetchedSource], plan: Plan) -> list[SpaceError]:
    """Return what stands against the downloads alone, where nothing else is known yet."""
    bare = replace(plan, steps=(), downloads=tuple(downloads))
    return refusals(replace(bare, space=assess(bare)))
