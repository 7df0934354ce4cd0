"""A step, described for a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact
from uploader_core.contract.settings import to_json
from uploader_core.contract.specs import DocumentSpec, UploadSpec
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.workers.pool import settings_reference


def stand_ins(
    plan: Plan, step: PlannedStep, virtual: Mapping[str, Artifact]
) -> tuple[Artifact, ...]:
    """Return a step's inputs as far as they are known before the run."""
    found = []
    for source in step.inputs:
        if source.startswith("source:"):
            found.append(plan.sources.artifacts[source.removeprefix("source:")])
        elif source in virtual:
            found.append(virtual[source])
        else:
            maker = plan.step(source)
            path = plan.output / (maker.folder or ".")
            found.append(Artifact(kind=maker.kind, path=path, producer=source))
    return tuple(found)


def make_request(
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    *,
    output: Path,
    work: Path,
    returns: str,
    units: Path | None = None,
) -> dict[str, Any]:
    """Describe a step for a worker; see :mod:`uploader_core.workers.child`."""
    spec = step.spec
    is_upload = isinstance(spec, UploadSpec)
    own = len(inputs) - len(step.measurements)  # measurements are the last inputs
    return {
        "op": "run",
        "step": step.id,
        "plugin": step.plugin.id,
        "owner": step.plugin.entry.owner,
        "run": spec.run,
        "settings_class": settings_reference(step.settings),
        "settings": to_json(step.settings),
        "inputs": [artifact.to_json() for artifact in inputs[:own]],
        "measurements": [artifact.to_json() for artifact in inputs[own:]],
        "release": plan.release.to_json(),
        "output": str(output),
        "work": str(work),
        "units": None if units is None else str(units),
        "produces": step.kind,
        "returns": returns,
        "target": step.target,
        "destination": step.destination,
        "targets": [
            s.target for s in plan.uploads if is_upload and s.destination == step.destination
        ],
        "loads": [*plan.loads_of(step.inputs, flatten=step.flatten)] if is_upload else [],
        "secrets": list(spec.secrets) if isinstance(spec, UploadSpec) else [],
        "network": is_upload,
        "sources": {
            kind: str(artifact.path)
            for kind, artifact in plan.sources.artifacts.items()
            if isinstance(spec, DocumentSpec)
        },
        "model_id": plan.model_id_of(step),
        "sections": [
            {
                "plugin": ref.plugin.id,
                "owner": ref.plugin.entry.owner,
                "heading": ref.spec.section,
                "run": ref.spec.run,
                "kind": ref.kind,
                "settings_class": settings_reference(ref.settings),
                "settings": to_json(ref.settings),
            }
            for ref in step.sections
        ],
    }
