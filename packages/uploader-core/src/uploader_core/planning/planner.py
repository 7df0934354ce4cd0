"""From a request to a plan: chain backward from the wanted kinds to the source.

The planner writes nothing. It imports the plugins that are named or needed, one by one; what the
source is missing is an error only when a step needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from uploader_core.contract.context import ReleaseInfo
from uploader_core.contract.sources import ReaderContext, Sources
from uploader_core.contract.specs import ConvertSpec, DocumentSpec, SaveSpec, UploadSpec
from uploader_core.home import from_home
from uploader_core.left_behind import refuse_misspelt
from uploader_core.planning.destinations import find_destination, split_destination
from uploader_core.planning.fetching import Fetcher, identify
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.request import Request
from uploader_core.planning.sources import read_source
from uploader_core.planning.step_chain import PlanBuilder
from uploader_core.plugins.entry_points import call_light
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.targets import find_target


def build_plan(request: Request, registry: Registry, config: Config, fetch: Fetcher) -> Plan:
    """Plan a request.

    Raises:
        UploaderError: The request cannot be planned; the error says what to type instead.
    """
    sources = read_source(
        ReaderContext(
            reference=request.source,
            base=request.base,
            adapters=request.adapters,
            fetch=fetch,
            identify=lambda folder: identify(folder, registry),
        ),
        registry,
    )
    refuse_misspelt(request.leave_behind, sources)
    targets = [find_target(d, config.tables) for d in request.destinations]
    destinations = [split_destination(target.to, registry) for target in targets]
    name = request.name or _name_from(destinations, request.plugins, registry)
    name = name or sources.name or sources.folder.name or "model"
    release = ReleaseInfo(
        name=name,
        source=sources.kind,
        base_model=sources.base_model,
        base_is_hub_id=sources.base_is_hub_id,
        base_revision=sources.base_revision,
        base_pinned=sources.base_pinned,
        command=request.command,
        leave_behind=request.leave_behind,
    )
    output = request.output or _default_output(sources, name)
    builder = PlanBuilder(registry, config, sources, release)
    builder.add_formats(request.plugins)
    builder.add_documents(request)
    for (scheme, rest), target in zip(destinations, targets, strict=True):
        builder.add_uploads(scheme, rest, target)
    plan = Plan(
        sources=sources,
        release=release,
        output=from_home(output).absolute(),
        steps=_with_model_ids(_in_order(builder.steps.values())),
        destinations=tuple(target.to for target in targets),
        warnings=(*sources.findings, *builder.warnings),
    )
    return replace(plan, downloads=fetch.brought(base=plan.needs_base))


_PHASES = (SaveSpec, ConvertSpec, DocumentSpec, UploadSpec)
"""Tie-break between steps that could start together; it never defines an edge."""


def _in_order(steps: Iterable[PlannedStep]) -> tuple[PlannedStep, ...]:
    """Sort steps by how many come before them, then by phase, then as in the request.

    Args:
        steps: Each after those that it consumes.
    """
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.id] = 1 + max((depth.get(i, 0) for i in step.inputs), default=0)
    return tuple(sorted(steps, key=lambda s: (depth[s.id], _PHASES.index(type(s.spec)))))


def _with_model_ids(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
    """Let documents say by what the model will be loaded: from the first upload that has a name."""
    named = [step for step in steps if step.uploads and step.model_id]
    return tuple(
        replace(step, model_id=next((u.model_id for u in named if step.id in u.inputs), ""))
        if step.tells
        else step
        for step in steps
    )


def _name_from(
    destinations: list[tuple[str, str]], plugins: tuple[str, ...], registry: Registry
) -> str | None:
    """Name a release after where it goes: ``tiny`` for gguf alone to ``hf:me/tiny-GGUF``."""
    scheme, rest = next((d for d in destinations if d[0] != "dir"), ("", ""))
    if not scheme:
        return None
    plugin, spec = find_destination(scheme, rest, registry)
    if spec.release_name is not None:
        name = str(call_light(spec.release_name, plugin.entry.owner, rest) or "")
    else:
        name = re.split(r"[:@?#]", rest.rstrip("/").rsplit("/", 1)[-1])[0]
    suffix = f"-{plugins[0]}" if len(plugins) == 1 else "-"
    return name[: -len(suffix)] if name.lower().endswith(suffix.lower()) else name


def _default_output(sources: Sources, name: str) -> Path:
    if sources.fetched is not None:
        return Path(name)  # next to it would be within a cache
    beside = sources.folder.parent / name
    return beside if beside != sources.folder else sources.folder.parent / f"{name}-release"
