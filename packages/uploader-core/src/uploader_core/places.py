"""Documents about everything at one place: the release folder, and what an upload brings.

They are made when all else of a place is, and arrive with it: checksums, signatures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from uploader_core.contract.specs import DocumentSpec
from uploader_core.errors import PluginBrokenError
from uploader_core.planning.participants import taking_part
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.request import Request
from uploader_core.plugins.entry_points import call_light
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.release.record import INTERNAL, safe_name
from uploader_core.user_config.configuration import Config

_Document = tuple[Plugin, DocumentSpec, object, str]
"""With its settings, and what tells one value of its secrets from another."""

_GUESSED = 40
"""Characters of a secret of which a digest gives nothing away; a password may be guessed by it."""


def with_documents_of_places(
    plan: Plan, request: Request, registry: Registry, config: Config
) -> Plan:
    """Return a plan with the documents of its places, each before the upload that brings it.

    Args:
        plan: From the planner.
        request: What it was planned for.
        registry: Installed plugins.
        config: Settings.
    """
    found = sorted(_documents(request, registry, config), key=lambda d: (d[1].order, d[0].id))
    if not found:
        return plan
    steps: dict[str, PlannedStep] = {}
    made = [s for s in plan.steps if s.is_artifact or isinstance(s.spec, DocumentSpec)]
    for step in plan.steps:
        if step.uploads:
            everything = [plan.step(i) for i in step.inputs]
            name = f"{(step.destination or step.id).partition(':')[0]}:{step.target}"
            beside = f"{INTERNAL}/places/{safe_name(step.id)}"
            new = _documents_of(found, name, everything, beside, step)
            steps |= {s.id: s for s in new}
            step = replace(step, inputs=(*step.inputs, *(s.id for s in new)))
        steps[step.id] = step
    steps |= {s.id: s for s in _documents_of(found, "release", made, ".", None)}
    # Steps that could start together start in this order; what is sent comes last.
    ordered = sorted(steps.values(), key=lambda s: s.uploads)
    return replace(plan, steps=tuple(ordered))


def _documents(request: Request, registry: Registry, config: Config) -> Iterator[_Document]:
    """Yield the documents of places that take part, with their settings."""
    for plugin_id in taking_part(request, registry):
        try:
            plugin = registry.load(plugin_id)
        except PluginBrokenError:  # of a plugin that was asked for, the planner said it
            continue
        for spec in plugin.of(DocumentSpec):
            if spec.scope == "place":
                settings = config.settings(plugin.id, spec.settings)
                if not spec.when or call_light(spec.when, plugin.entry.owner, settings):
                    lasting = () if spec.passing_secrets else spec.secrets
                    yield plugin, spec, settings, _digest(lasting, config.environment)


def _digest(names: Iterable[str], environment: Mapping[str, str]) -> str:
    """Digest secrets, so that a document for which another one is set now is made again."""
    values = {name: environment.get(name, "") for name in names}
    long = {name: value for name, value in values.items() if len(value) >= _GUESSED}
    return hashlib.sha256(json.dumps(long, sort_keys=True).encode()).hexdigest() if long else ""


def _documents_of(
    documents: Iterable[_Document],
    name: str,
    everything: Iterable[PlannedStep],
    folder: str,
    upload: PlannedStep | None,
) -> list[PlannedStep]:
    """Return the documents about one place, each about those before it as well.

    Args:
        documents: In their order.
        name: Of the place, for the ids.
        everything: That is there besides.
        folder: Where they are written, relative to the release.
        upload: That brings them there; None for the release folder.
    """
    inputs = sorted(everything, key=lambda step: step.measures)  # as a step is told of them
    made: list[PlannedStep] = []
    for plugin, spec, settings, digest in documents:
        step = PlannedStep(
            id=f"{plugin.id}:{spec.name}@{name}",
            plugin=plugin,
            spec=spec,
            inputs=(*(s.id for s in made), *(s.id for s in inputs)),
            subjects=tuple(s.id for s in inputs if s.is_artifact),
            measurements=tuple(s.id for s in inputs if s.measures),
            settings=settings,
            kind="document",
            folder=folder,
            secrets=spec.secrets,
            secrets_digest=digest,
        )
        if upload is not None:
            step = replace(
                step,
                target=upload.target,
                destination=upload.destination,
                flatten=upload.flatten,
                model_id=upload.model_id,
            )
        made.append(step)
    return made
