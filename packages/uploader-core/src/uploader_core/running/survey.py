"""What of a plan is done already, so that only the rest runs."""

from __future__ import annotations

from collections.abc import Callable

from uploader_core.artifact import Artifact
from uploader_core.planning.plan import Plan
from uploader_core.planning.preflight import open_virtual
from uploader_core.planning.present import Present
from uploader_core.release.store import ReleaseStore
from uploader_core.running.results import Results


def remembered(plan: Plan, store: ReleaseStore) -> Results:
    """Find the steps that need not run, as a plan does, which reads no weights.

    Where the digest of a source is not remembered, nothing is known.
    """
    sources: dict[str, Artifact] = {}
    for artifact in _consumed(plan):
        filled = store.fill(artifact, may_read=False, tick=lambda *_: None)
        if filled is None:
            return Results(plan, sources)
        sources[artifact.kind] = filled
    return _compare(Results(plan, sources), plan, store)


def examine(
    plan: Plan,
    store: ReleaseStore,
    *,
    checksum: bool = False,
    before_reading: Callable[[], None] = lambda: None,
    hashed: Callable[[str, int], None] = lambda *_: None,
) -> Results:
    """Hash the sources and find the steps that need not run.

    Args:
        plan: What shall run.
        store: The release folder, opened.
        checksum: Read everything that is there already instead of believing sizes and times.
        before_reading: Called before a source is read whose digest is not remembered.
        hashed: Called with name and size of every file that was read.
    """
    if checksum:
        store.forget_digests()
    sources: dict[str, Artifact] = {}
    for artifact in _consumed(plan):
        filled = store.fill(artifact, may_read=False, tick=lambda *_: None)
        if filled is None:
            before_reading()
            filled = store.fill(artifact, may_read=True, tick=hashed)
        if filled is not None:
            sources[artifact.kind] = filled
    store.save_digests()
    return _compare(Results(plan, sources), plan, store, read=checksum)


def present(results: Results, plan: Plan, store: ReleaseStore) -> Present:
    """Say what of the steps that have to run is in the release folder already."""
    finished, replaced = {}, {}
    for step in plan.artifacts:
        if step.id in results.kept or step.folder is None:
            continue
        old = store.record(step.id)
        if old is not None and old.artifact is not None:
            replaced[step.id] = old.artifact.size
        # Without the digests of everything before it a step has no key.
        if results.has_key(step):
            finished[step.id] = store.finished(step.id, results.key(step), step.folder)
    made = {
        step_id: tuple((file.name, file.size) for file in record.artifact.files)
        for step_id, record in results.records.items()
        if record.artifact is not None
    }
    return Present(made=made, finished=finished, replaced=replaced, left_over=store.left_over())


def _consumed(plan: Plan) -> list[Artifact]:
    """Return the sources that some step consumes."""
    used = {i.removeprefix("source:") for step in plan.steps for i in step.inputs}
    return [artifact for kind, artifact in plan.sources.artifacts.items() if kind in used]


def _compare(results: Results, plan: Plan, store: ReleaseStore, *, read: bool = False) -> Results:
    """Compare every step with its record, as far as what it consumes is kept."""
    for step in plan.steps:
        if not all(i.startswith("source:") or i in results.kept for i in step.inputs):
            continue
        key = results.key(step)
        if step.is_virtual:
            planned = plan.virtual.get(step.id)
            results.keep_virtual(step, planned or open_virtual(plan, step, results.inputs(step)))
            continue
        record = store.current(step.id, key, read=read)
        if record is not None:
            results.keep(record, read=read)
    return results
