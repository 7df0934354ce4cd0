"""``upload_manifest.json``: every file with size, digest, role and the step that made it.

It holds no time, no host, no user and no local path, so the same inputs give the same bytes and it
can be published as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

import uploader_core
from uploader_core.artifact import Artifact, Json
from uploader_core.release.verify import LOADS, SCHEMA

if TYPE_CHECKING:
    from uploader_core.planning.plan import Plan
    from uploader_core.release.store import Record


def build_manifest(
    plan: Plan,
    sources: Mapping[str, Artifact],
    records: Mapping[str, Record],
    steps: Iterable[str],
    *,
    flatten: bool = False,
) -> dict[str, Json]:
    """Describe the files that some steps made.

    Args:
        plan: What was planned.
        sources: Source artifacts with their digests, by kind.
        records: Records of the finished steps, by step id.
        steps: Ids of the steps to describe, with a record each.
        flatten: Names without the kind's folder, as at a destination of one kind.

    Returns:
        The manifest as JSON.
    """
    files: list[Json] = []
    wanted = sorted(set(steps))
    for step_id in wanted:
        record = records[step_id]
        if record.artifact is None:
            continue
        folder = "" if flatten or record.folder == "." else record.folder + "/"
        kind = record.artifact.kind
        files += [
            {
                "path": folder + file.name,
                "size": file.size,
                "sha256": file.sha256,
                "role": file.role,
                "kind": kind,
                "step": step_id,
            }
            for file in record.artifact.files
        ]
    ancestry = _ancestors(plan, wanted)
    return {
        "schema": SCHEMA,
        "name": plan.release.name,
        "source": plan.release.source,
        "base_model": plan.release.base_model if plan.release.base_is_hub_id else None,
        "base_revision": plan.release.base_revision,
        "files": files,
        "artifacts": [
            {"kind": r.artifact.kind, "step": s, "metadata": redact({**r.artifact.metadata})}
            for s in wanted
            if (r := records[s]).artifact is not None and r.artifact.kind != "document"
        ],
        LOADS: [*plan.loads_of(wanted, flatten=flatten)],
        "materials": [_material(kind, sources[kind]) for kind in sorted(sources)],
        "steps": [_step(plan, step_id, records.get(step_id)) for step_id in ancestry],
        "tools": {"uploader-core": str(uploader_core.__version__)},
    }


def _material(kind: str, artifact: Artifact) -> dict[str, Json]:
    return {
        "kind": kind,
        "metadata": redact({**artifact.metadata}),
        "files": [
            {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role}
            for f in artifact.files
        ],
    }


def _step(plan: Plan, step_id: str, record: Record | None) -> dict[str, Json]:
    step = plan.step(step_id)
    about: dict[str, Json] = {**describe(plan, step_id)} if record is None else {**record.about}
    about["settings"] = redact(about["settings"])
    return {"id": step_id, "kind": step.kind, "inputs": list(step.inputs), **about}


def describe(plan: Plan, step_id: str) -> dict[str, Json]:
    """Say who runs a step, for its record."""
    from uploader_core.contract.settings import to_json

    step = plan.step(step_id)
    return {
        "plugin": step.plugin.id,
        "distribution": step.plugin.entry.distribution,
        "version": step.plugin.entry.version,
        "settings": to_json(step.settings),
    }


def _ancestors(plan: Plan, steps: list[str]) -> list[str]:
    found: set[str] = set()
    queue = list(steps)
    while queue:
        step_id = queue.pop()
        if step_id in found or step_id.startswith("source:"):
            continue
        found.add(step_id)
        queue.extend(plan.step(step_id).inputs)
    return [step.id for step in plan.steps if step.id in found]


def redact(value: Json) -> Json:
    """Replace absolute local paths by their last part, at any depth."""
    if isinstance(value, str):
        absolute = value.startswith(("/", "~/", "\\\\")) or value[1:3] in (":\\", ":/")
        return PurePath(value.replace("\\", "/")).name if absolute else value
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    return value
