"""``upload_manifest.json``: every file with size, digest, role and the step that made it.

It holds no time, no host, no user and no local path, so the same inputs give the same bytes and it
can be published as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import uploader_core
from uploader_core.artifact import Artifact, ArtifactFile, Json, UploadFile
from uploader_core.contract.specs import DocumentSpec, MakeSpec
from uploader_core.disk.safe_write import write_json
from uploader_core.errors import IntegrityError
from uploader_core.manifest.environment import contents_of, environment_of
from uploader_core.manifest.outdated import remove_outdated
from uploader_core.manifest.policy import policy
from uploader_core.manifest.sources import chat_template
from uploader_core.manifest_file import DETACHED, LOADS, NAME, PUBLICATIONS, SCHEMA
from uploader_core.planning.plan import Plan, PlannedStep, name_prefix
from uploader_core.redact import without_local_paths
from uploader_core.release.record import Record, safe_name
from uploader_core.release.store import ReleaseStore


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of the steps that are done.

    Attributes:
        sources: Source artifacts with their digests, by kind.
        records: By step id.
    """

    sources: Mapping[str, Artifact]
    records: Mapping[str, Record]

    @functools.cached_property
    def chat_template(self) -> dict[str, Json]:
        """What the sources have; a run builds a manifest for each document of each place."""
        return chat_template(self.sources)


def write_manifest(plan: Plan, facts: Facts, store: ReleaseStore) -> Path | None:
    """Write the manifest of a release and return its path, None when nothing was made.

    Documents about an earlier one are removed.
    """
    done = [facts.records[s.id] for s in plan.steps if s.id in facts.records]
    made = [record.step for record in done if record.artifact is not None]
    if not made:
        return None
    path = store.root / NAME
    write_json(path, build_manifest(plan, facts, made))
    remove_outdated(plan, facts.records, store)
    receipts = [record.receipt for record in done if record.receipt is not None]
    if receipts:
        # How much went over the wire depends on what was there before.
        told: list[Json] = [{k: v for k, v in r.items() if k != "bytes_sent"} for r in receipts]
        write_json(store.root / PUBLICATIONS, {"publications": told})
    return path


def manifest_of_place(plan: Plan, step: PlannedStep, facts: Facts) -> list[Json]:
    """Return the manifest of the place that a document is about, nothing for any other step."""
    return [build_manifest(plan, facts, step.inputs, place=step)] if step.is_of_place else []


def files_of_place(
    plan: Plan, step: PlannedStep, facts: Facts, store: ReleaseStore
) -> tuple[UploadFile, ...]:
    """List what an upload brings, or what is at the place that a document is about.

    These are the artifacts' files, their documents, and a manifest of it.

    Args:
        plan: What was planned.
        step: The upload or the document; there is nothing to list for any other.
        facts: Sources with their digests, and records of the finished steps.
        store: The release folder.

    Raises:
        IntegrityError: Two files want the same name.
    """
    if not (step.uploads or step.is_of_place):
        return ()
    files: dict[str, UploadFile] = {}
    for source in step.inputs:
        record = facts.records[source]
        artifact = record.made
        prefix = name_prefix(record.folder, flatten=step.flatten)
        for file in artifact.files:
            name = prefix + file.name
            if name in files:
                raise IntegrityError(
                    f"two files want to be {name} at {step.destination}",
                    owner=f"{files[name].kind} and {artifact.kind}",
                    next="ask for a layout that keeps the formats apart",
                )
            files[name] = UploadFile(
                name=name,
                path=artifact.path / file.name,
                size=file.size,
                sha256=file.sha256,
                role=file.role,
                kind=artifact.kind,
            )
    path = store.internal / "manifests" / safe_name(step.id) / NAME
    digest = write_json(path, build_manifest(plan, facts, step.inputs, place=step))
    files[NAME] = UploadFile(
        name=NAME,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        role="document",
        kind="document",
    )
    return tuple(files.values())


def build_manifest(
    plan: Plan,
    facts: Facts,
    steps: Iterable[str],
    *,
    place: PlannedStep | None = None,
) -> dict[str, Json]:
    """Describe the files that some steps made.

    Args:
        plan: What was planned.
        facts: Sources with their digests, and records of the finished steps.
        steps: Ids of the steps to describe, with a record each.
        place: The upload that brings them to a destination, or a document about what it brings;
            None for the release folder. Documents about the place are made of the finished
            manifest, and so stand in it without a digest.

    Returns:
        The manifest as JSON.
    """
    records, sources = facts.records, facts.sources
    flatten = place is not None and place.flatten
    documents, uploads = _of_place(plan, place)
    detached = sorted(s.spec.output or "" for s in documents if isinstance(s.spec, DocumentSpec))
    wanted = sorted({*steps} - {step.id for step in plan.steps if step.is_of_place})
    taken = _ancestors(plan, wanted)
    made = [
        (step_id, records[step_id].folder, artifact)
        for step_id in wanted
        if (artifact := records[step_id].artifact) is not None
    ]
    files: list[Json] = [
        {
            **_file(file, name_prefix(folder, flatten=flatten)),
            "kind": artifact.kind,
            "step": step_id,
        }
        for step_id, folder, artifact in made
        for file in artifact.files
    ]
    return {
        "schema": SCHEMA,
        "name": plan.release.name,
        "source": plan.release.source,
        "base_model": plan.release.base_model if plan.release.base_is_hub_id else None,
        "base_revision": plan.release.base_revision,
        "files": files,
        "artifacts": [
            {"kind": artifact.kind, "step": step_id, "metadata": _metadata(artifact)}
            for step_id, _, artifact in made
            if artifact.kind != "document"
        ],
        **({DETACHED: [*detached]} if detached else {}),
        LOADS: [*plan.loads_of(wanted, flatten=flatten)],
        "materials": [_material(kind, sources[kind]) for kind in sorted(sources)],
        "chat_template": facts.chat_template,
        "policy": policy(plan, [*taken, *uploads]),
        "steps": [_step(step, records.get(step.id)) for step in taken],
        "tools": {"uploader-core": str(uploader_core.__version__)},
    }


def _of_place(plan: Plan, place: PlannedStep | None) -> tuple[list[PlannedStep], list[PlannedStep]]:
    """Return the documents about a place, and the upload that brings something there."""
    name = (None, None) if place is None else (place.destination, place.target)
    steps = [step for step in plan.steps if (step.destination, step.target) == name]
    return [s for s in steps if s.is_of_place], [s for s in steps if s.uploads]


def _material(kind: str, artifact: Artifact) -> dict[str, Json]:
    return {
        "kind": kind,
        "metadata": _metadata(artifact),
        "files": [_file(file) for file in artifact.files],
    }


def _metadata(artifact: Artifact) -> Json:
    return without_local_paths({**artifact.metadata})


def _file(file: ArtifactFile, prefix: str = "") -> dict[str, Json]:
    name = prefix + file.name
    return {"path": name, "size": file.size, "sha256": file.sha256, "role": file.role}


def _step(step: PlannedStep, record: Record | None) -> dict[str, Json]:
    about: dict[str, Json] = {**(describe(step) if record is None else record.about)}
    about["settings"] = without_local_paths(about["settings"])
    return {"id": step.id, "kind": step.kind, "inputs": list(step.inputs), **about}


def describe(step: PlannedStep) -> dict[str, Json]:
    """Say who runs a step, for its record."""
    entry = step.plugin.entry
    about: dict[str, Json] = {
        "plugin": step.plugin.id,
        "distribution": entry.distribution,
        "version": entry.version,
        "settings": step.settings_json,
    }
    if isinstance(step.spec, MakeSpec):
        about["contents"] = contents_of(step.plugin.id, step.settings)
        about["environment"] = environment_of(entry.distribution, step.spec.needs)
    return about


def materials_of(plan: Plan, step: PlannedStep, sources: Mapping[str, Artifact]) -> list[Artifact]:
    """Return the sources of which everything was made that a document is about.

    What else a run reads does not count, or a document would depend on what was asked for besides.

    Args:
        plan: What was planned.
        step: The document's.
        sources: With digests, by kind.
    """
    reached = {name for one in _ancestors(plan, [step.id]) for name in one.inputs}
    return [sources[kind] for kind in sources if f"source:{kind}" in reached]


def _ancestors(plan: Plan, steps: list[str]) -> list[PlannedStep]:
    found = {*steps}
    for step in reversed(plan.steps):  # their order respects the edges
        if step.id in found:
            found.update(step.inputs)
    return [step for step in plan.steps if step.id in found]
