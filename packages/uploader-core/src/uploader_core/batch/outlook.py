"""All runs of a batch, planned before the first byte, and what they come to together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from uploader_core.advice.disk_space import RESERVE
from uploader_core.batch.wanted import Wanted
from uploader_core.errors import RefusedError, SpaceError, UploaderError, combine, refuse_if
from uploader_core.human_text import names_text, size_text
from uploader_core.machine import filesystems
from uploader_core.machine.memory import look as look_at_memory
from uploader_core.means import Means
from uploader_core.planning.plan import FileSystem, Plan, Survey
from uploader_core.planning.request import Request
from uploader_core.plugins.registry import Registry
from uploader_core.running.session import look
from uploader_core.user_config.configuration import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """A run before it runs.

    Attributes:
        wanted: What asks for it.
        request: As for a single run.
        config: Settings, with those of the run.
        survey: Its plan, None where it cannot be planned.
        error: Why it will not run; None when it can.
    """

    wanted: Wanted
    request: Request
    config: Config
    survey: Survey | None = None
    error: UploaderError | None = None

    @property
    def name(self) -> str:
        return self.wanted.name if self.survey is None else self.survey.plan.release.name

    @property
    def output(self) -> Path | None:
        return self.request.output if self.survey is None else self.survey.plan.output

    @property
    def done(self) -> bool:
        """Whether nothing of it has to run."""
        survey = self.survey
        return survey is not None and all(
            step.id in survey.kept or step.is_virtual for step in survey.plan.steps
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """A batch before it runs.

    Attributes:
        prospects: In the order in which they start: those of one base follow each other, so that
            its files stay in the page cache.
        left_out: Subfolders that are no fine-tunes, with the reason.
        space: What the runs do to file systems together.
        at_once: Runs side by side.
        warnings: About the batch as a whole.
    """

    prospects: tuple[Prospect, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    space: tuple[FileSystem, ...] = ()
    at_once: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def runnable(self) -> tuple[Prospect, ...]:
        return tuple(p for p in self.prospects if p.error is None)

    @property
    def leaves(self) -> int:
        """How many runs send something to other machines."""
        plans = [p.survey.plan for p in self.runnable if p.survey is not None and not p.done]
        return sum(any(not d.startswith("dir:") for d in plan.destinations) for plan in plans)

    def error(self) -> UploaderError | None:
        """Return what keeps some of the runs from running, None for nothing."""
        return combine(errors) if (errors := [p.error for p in self.prospects if p.error]) else None


def look_at_all(
    wanted: Iterable[Wanted],
    registry: Registry,
    config: Config,
    means: Means,
    *,
    at_once: int,
    left_out: Mapping[str, str] = MappingProxyType({}),
    tick: Callable[[Wanted], None] = lambda _: None,
) -> Outlook:
    """Plan every run, and refuse what cannot go together.

    A run that cannot be planned, or that its own checks refuse, is in the outlook with its error.

    Args:
        wanted: The runs.
        registry: Installed plugins.
        config: Settings of all runs.
        means: What they share.
        at_once: Runs side by side, if memory suffices.
        left_out: Subfolders that are no fine-tunes, with the reason.
        tick: Called before each is planned.

    Raises:
        UsageError: A run asks for what cannot be understood.
        RefusedError: Two runs would write the same, or the disk is too small for all of them.
    """
    prospects = []
    for one in wanted:
        tick(one)
        prospects.append(_look_at(one, registry, config, means))
    refuse_if(_collisions(prospects))
    runnable = [p for p in prospects if p.error is None]
    plans = [p.survey.plan for p in runnable if p.survey is not None and not p.done]
    at_once, warnings = _that_fit(plans, max(1, at_once))
    space = tuple(together(plans, at_once))
    refuse_if(too_small(space, len(plans)))
    return Outlook(
        prospects=tuple(by_base(prospects)),
        left_out=left_out,
        space=space,
        at_once=at_once,
        warnings=warnings,
    )


def _look_at(wanted: Wanted, registry: Registry, config: Config, means: Means) -> Prospect:
    request = wanted.request()
    options = {**config.options}
    for plugin, fields in wanted.settings.items():
        options[plugin] = {**options.get(plugin, {}), **fields}
    prospect = Prospect(wanted=wanted, request=request, config=replace(config, options=options))
    try:
        survey = look(request, registry, prospect.config, means=means)
    except UploaderError as error:
        return replace(prospect, error=error)
    refused = combine([*survey.errors]) if survey.errors else None
    return replace(prospect, survey=survey, error=refused)


def by_base(prospects: list[Prospect]) -> list[Prospect]:
    """Sort by base, the one that is named first first; within one as they are named."""
    order: dict[str, int] = {}
    for prospect in prospects:
        order.setdefault(_base(prospect), len(order))
    return sorted(prospects, key=lambda p: order[_base(p)])


def _base(prospect: Prospect) -> str:
    if prospect.survey is None:
        return ""
    artifacts = prospect.survey.plan.sources.artifacts
    source = artifacts.get("base") or next(iter(artifacts.values()))
    return str(source.path)


def _collisions(prospects: list[Prospect]) -> Iterator[UploaderError]:
    """Yield what two runs would both write."""
    writers: dict[str, list[str]] = defaultdict(list)
    folders: dict[Path, str] = {}
    for prospect in prospects:
        where = prospect.wanted.where
        if prospect.output is not None:
            writers[f"the release folder {prospect.output}"].append(where)
            folders[prospect.output.resolve()] = where
        if prospect.survey is not None:
            for step in prospect.survey.plan.uploads:
                writers[f"{step.plugin.id}: {step.target}"].append(where)
    for place, found in writers.items():
        if len(found) > 1:
            yield RefusedError(
                f"{names_text(found)} would all write {place}",
                owner="the runs of this batch",
                safe="nothing was written",
                next='give each a name or an output of its own; "{name}" in to and output stands '
                "for the name of the run",
            )
    for folder, where in folders.items():
        inside = next((folders[p] for p in folder.parents if p in folders), None)
        if inside is not None:
            yield RefusedError(
                f"the release folder of {where} would be inside that of {inside}",
                owner="the runs of this batch",
                safe="nothing was written",
                next="give one of them another output",
            )


def _that_fit(plans: list[Plan], at_once: int) -> tuple[int, tuple[str, ...]]:
    """Return how many runs side by side the memory is enough for, and the GPUs are."""
    if at_once > 1 and any(step.lane == "gpu" for plan in plans for step in plan.steps):
        return 1, (f"1 instead of {at_once} runs side by side: some steps need a whole GPU",)
    memory = look_at_memory()
    room = None if memory is None else memory.available or memory.total
    needs = sorted((plan.peak_memory for plan in plans), reverse=True)
    fitting = at_once
    while room is not None and fitting > 1 and sum(needs[:fitting]) > room:
        fitting -= 1
    if fitting == at_once:
        return at_once, ()
    return fitting, (
        f"{fitting} instead of {at_once} runs side by side: {at_once} need up to "
        f"{size_text(sum(needs[:at_once]))} of memory, and {size_text(room or 0)} are available",
    )


def together(plans: list[Plan], at_once: int) -> Iterator[FileSystem]:
    """Add up what the runs do to each file system; a download that several need counts once.

    Args:
        plans: Of the runs, assessed.
        at_once: Runs side by side.
    """
    found: dict[int, list[FileSystem]] = defaultdict(list)
    for plan in plans:
        for system in plan.space:
            found[filesystems.device_of(system.path)].append(system)
    twice: dict[int, int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    for plan in plans:
        for download in plan.downloads:
            key = (download.model_id, str(download.cache or download.path.name))
            if download.download and key in seen:
                twice[filesystems.device_of(download.cache or download.path)] += download.download
            seen.add(key)
    for device, systems in found.items():
        after = sum(system.after for system in systems) - twice[device]
        passing = sorted((max(0, system.peak - system.after) for system in systems), reverse=True)
        yield replace(
            systems[0],
            uses=tuple(dict.fromkeys(use for system in systems for use in system.uses)),
            after=after,
            peak=after + sum(passing[:at_once]),
        )


def too_small(space: Iterable[FileSystem], runs: int) -> Iterator[SpaceError]:
    """Yield an error for each file system that does not hold what the runs need together.

    Args:
        space: Of :func:`together`.
        runs: How many there are.
    """
    for system in space:
        needed = system.peak + RESERVE
        if needed > system.free:
            yield SpaceError(
                f"{runs} runs together need {size_text(needed)} ({needed:,} bytes) in "
                f"{system.path}, where {size_text(system.free)} ({system.free:,} bytes) are free: "
                f"{size_text(needed - system.free)} too few",
                owner=f"the file system of {system.path}",
                safe="nothing was written",
                next="another disk with output, fewer formats, or fewer runs at a time",
            )
