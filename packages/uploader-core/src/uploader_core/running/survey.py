"""What of a plan is done already, so that only the rest runs."""

from __future__ import annotations

from collections.abc import Callable

from uploader_core.artifact import Artifact, Receipt
from uploader_core.contract.context import ArrivalContext
from uploader_core.contract.specs import UploadSpec
from uploader_core.errors import CancelledError, UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.preflight import open_virtual
from uploader_core.planning.present import Present
from uploader_core.release.record import Record
from uploader_core.release.source_digests import SourceDigests
from uploader_core.release.store import ReleaseStore
from uploader_core.running.results import Results
from uploader_core.workers.messages import Settings, StillThere
from uploader_core.workers.pool import Workers


def remembered(plan: Plan, store: ReleaseStore, workers: Workers) -> Results:
    """Find the steps that need not run, as a plan does, which reads no weights.

    Where the digest of a source is not remembered, nothing is known of any step.
    """
    digests, consumed = SourceDigests(store.internal), _consumed(plan)
    known = [digests.fill(source) for source in consumed if digests.knows(source)]
    results = Results(plan, {source.kind: source for source in known})
    return results if len(known) < len(consumed) else _compare(results, plan, store, workers)


def examine(
    plan: Plan,
    store: ReleaseStore,
    workers: Workers,
    digests: SourceDigests,
    *,
    checksum: bool = False,
    before_reading: Callable[[], None] = lambda: None,
    hashed: Callable[[str, int], None] = lambda *_: None,
) -> Results:
    """Hash the sources and find the steps that need not run.

    Args:
        plan: What shall run.
        store: The release folder, opened.
        workers: Of the run; they ask destinations whether an upload is still there.
        digests: Remembers what was hashed.
        checksum: Read everything that is there already instead of believing sizes and times.
        before_reading: Called before a source is read whose digest is not remembered.
        hashed: Called with name and size of every file that was read.
    """
    sources: dict[str, Artifact] = {}
    for source in _consumed(plan):
        if digests.knows(source):
            sources[source.kind] = digests.fill(source)
        else:
            before_reading()
            sources[source.kind] = digests.fill(source, hashed)
    digests.save()
    return _compare(Results(plan, sources), plan, store, workers, read=checksum)


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


def _compare(
    results: Results, plan: Plan, store: ReleaseStore, workers: Workers, *, read: bool = False
) -> Results:
    """Compare every step with its record, as far as what it consumes is kept."""
    for step in plan.steps:
        if not all(i.startswith("source:") or i in results.kept for i in step.inputs):
            continue
        key = results.key(step)
        if step.is_virtual:
            planned = plan.virtual.get(step.id)
            # Made again only where its inputs are.
            results.kept.add(step.id)
            results.add_virtual(step, planned or open_virtual(plan, step, results.inputs(step)))
            continue
        record = None if step.id in plan.redo else store.current(step.id, key, read=read)
        if record is not None and _is_still_there(step, record, workers):
            results.keep(record, read=read)
    return results


def _is_still_there(step: PlannedStep, record: Record, workers: Workers) -> bool:
    """Ask the destination of an upload whether it has what was brought; unknown is no."""
    if not isinstance(step.spec, UploadSpec) or step.spec.still_there is None:
        return True
    try:
        request = StillThere(
            step=f"{step.id}: is it still there",
            owner=step.plugin.entry.owner,
            secrets=step.secrets,
            settings=Settings.of(step.plugin.id, step.settings),
            network=True,
            run=step.spec.still_there,
            context=ArrivalContext(
                target=step.target or "", receipt=Receipt.from_json(record.receipt)
            ),
        )
        return workers.perform(request, inline=step.spec.isolation == "inline")
    except CancelledError:
        raise
    except (UploaderError, ValueError):
        return False
