"""A request from beginning to end: plan, survey, prepare, run. The CLI and scripts call this."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from uploader_core.advice.disk_space import downloads_fit
from uploader_core.advice.machine_warnings import advise
from uploader_core.contract.context import VerifyContext
from uploader_core.contract.verification import Verification
from uploader_core.errors import UploaderError, UsageError
from uploader_core.planning.destinations import find_destination, split_destination
from uploader_core.planning.fetching import Fetcher, _outlines
from uploader_core.planning.plan import Plan, Survey
from uploader_core.planning.planner import build_plan
from uploader_core.planning.preflight import combine, prepare
from uploader_core.planning.present import Present
from uploader_core.planning.proofs import Proofs
from uploader_core.planning.request import Request
from uploader_core.planning.strangers import find_strangers_in_release
from uploader_core.plugins.configuration import Config
from uploader_core.plugins.registry import Registry
from uploader_core.release.store import ReleaseStore
from uploader_core.release.verify import verify_folder
from uploader_core.running.events import EventFile, EventStream
from uploader_core.running.report import Report
from uploader_core.running.step_run import Runner
from uploader_core.workers.messages import Verify
from uploader_core.workers.pool import Workers


def look(request: Request, registry: Registry, config: Config, *, jobs: int = 1) -> Survey:
    """Plan a request and check it, writing nothing.

    Args:
        request: What the user wants.
        registry: Installed plugins.
        config: Settings.
        jobs: Heavy steps side by side; they need more disk and memory together.

    Raises:
        UploaderError: The request cannot be planned at all.
    """
    workers = Workers(config.environment)
    with _outlines() as folder, Proofs(config.environment) as proofs:
        plan = build_plan(request, registry, config, Fetcher(registry, workers, folder))
        store = ReleaseStore(plan.output)
        store.check_foreign()
        runner = Runner(plan=plan, store=store, events=EventStream(), workers=workers)
        kept = runner.survey(may_read=False)
        present = runner.present(kept)
        prepared, errors = prepare(plan, workers, kept, present=present, proofs=proofs)
        prepared, more = advise(prepared, kept, jobs=jobs, present=present)
        errors += more
        prepared, _, unproved = proofs.finish(prepared)
        errors += [*unproved, *find_strangers_in_release(prepared, store)]
        return Survey(plan=prepared, kept=frozenset(kept), errors=tuple(errors))


def run(
    request: Request,
    registry: Registry,
    config: Config,
    events: EventStream,
    *,
    jobs: int = 1,
    fail_fast: bool = False,
    checksum: bool = False,
    confirm: Callable[[Survey], None] = lambda _: None,
) -> Report:
    """Plan a request, check it, and run what is not done yet.

    Args:
        request: What the user wants.
        registry: Installed plugins.
        config: Settings.
        events: Where events go; ``events.jsonl`` listens too.
        jobs: Heavy steps side by side.
        fail_fast: Start nothing new after a failure.
        checksum: Read everything that is there already instead of believing sizes and times.
        confirm: Called with the survey before the first step; raising stops the run.

    Returns:
        The report; its ``error()`` tells whether all is done and verified.

    Raises:
        UploaderError: Refused before the first step.
        CancelledError: Stopped; finished steps are kept.
    """
    workers = Workers(config.environment)
    plan = _plan_before_fetching(request, registry, config, workers, jobs)
    if plan is None:
        plan = build_plan(request, registry, config, Fetcher(registry, workers))
    store = ReleaseStore(plan.output)
    store.check_foreign()
    with Proofs(config.environment) as proofs:
        # Refuse before the first byte: nothing is created for a request that cannot run.
        fresh = None
        if not store.internal.is_dir():
            fresh = _prepare_or_raise(plan, workers, set(), jobs, proofs)
            confirm(Survey(plan=fresh, kept=frozenset()))
        with (
            store.open(),
            _event_file(events, store.internal / "events.jsonl"),
            contextlib.closing(Workers(config.environment, store.internal / "logs")) as workers,
        ):
            store.sweep()
            events.emit("run_started", "", name=plan.release.name, output=str(plan.output))
            runner = Runner(
                plan=plan,
                store=store,
                events=events,
                workers=workers,
                jobs=jobs,
                fail_fast=fail_fast,
                checksum=checksum,
            )
            kept = runner.survey()
            prepared = fresh or _prepare_or_raise(
                plan, workers, kept, jobs, proofs, runner.present(kept)
            )
            if fresh is None:
                if errors := find_strangers_in_release(prepared, store):
                    raise combine(errors)
                confirm(Survey(plan=prepared, kept=frozenset(kept)))
            runner.plan, found, errors = proofs.finish(prepared)
            for finding in found:
                events.emit("finding", "", **finding.to_json())
            if not errors:
                report = runner.execute(kept)
                runner.remember_pace()
                _write_page(report, store, events)
                error = report.error()
                events.emit("run_finished", "", exit_code=0 if error is None else error.exit_code)
                return report
        if fresh is not None:
            store.abandon()
        raise combine(errors)


def _write_page(report: Report, store: ReleaseStore, events: EventStream) -> None:
    """Write the page about the run; that it cannot be written changes nothing."""
    from uploader_core.page import write_page

    scratch = store.internal / "work"
    try:
        write_page(report, store.root, store.internal / "events.jsonl", scratch)
    except Exception as error:
        events.emit("warning", "", what=f"report.html was not written: {error}")


def verify(
    reference: str, registry: Registry, config: Config, *, full: bool = True
) -> Verification:
    """Compare a release with its manifest, wherever it is. Nothing is changed.

    Args:
        reference: A folder, or ``scheme:rest`` of a destination.
        registry: Installed plugins.
        config: For the environment, where credentials are.
        full: Also compare contents; False looks at names and sizes only.

    Raises:
        UsageError: There is no such folder, or that destination cannot be verified.
        UploaderError: What the destination's plugin says.
    """
    path = Path(reference).expanduser()
    if path.is_dir():
        return verify_folder(path, full=full)
    # Two letters at least: one is a drive.
    if not re.match(r"[a-z][a-z0-9.-]+:.", reference):
        raise UsageError(
            f"there is no folder {reference}",
            next="give a release folder, or a destination such as hf:user/model",
        )
    name, target = split_destination(reference, registry)
    plugin, spec = find_destination(name, registry)
    if spec.verify is None:
        raise UsageError(
            f"{plugin.entry.owner} cannot verify what lies at {name}:",
            next="verify the release folder, or a downloaded copy",
        )
    asked = Verify(
        step=f"verify {reference}",
        owner=plugin.entry.owner,
        secrets=spec.secrets,
        network=True,
        run=spec.verify,
        context=VerifyContext(target=target, full=full),
    )
    return Workers(config.environment).perform(asked, lambda _: None)


def _plan_before_fetching(
    request: Request, registry: Registry, config: Config, workers: Workers, jobs: int
) -> Plan | None:
    """Refuse what cannot run before gigabytes of weights are fetched for it.

    Returns:
        The plan where everything is here already, None where it has to be made once more.
    """
    with _outlines() as folder:
        if folder is None:
            return None
        fetcher = Fetcher(registry, workers, folder)
        plan = build_plan(request, registry, config, fetcher)
        if not fetcher.outlined:
            return plan
        store = ReleaseStore(plan.output)
        # A release that was begun has steps that are kept, which only the real source shows.
        if store.internal.is_dir():
            errors: list[UploaderError] = [*downloads_fit(plan.downloads, plan)]
            if errors:
                raise combine(errors)
        else:
            store.check_foreign()
            with Proofs(config.environment) as proofs:
                prepared = _prepare_or_raise(plan, workers, set(), jobs, proofs)
                _, _, errors = proofs.finish(prepared)
            if errors:
                raise combine(errors)
        return None


def _prepare_or_raise(
    plan: Plan,
    workers: Workers,
    kept: set[str],
    jobs: int,
    proofs: Proofs,
    present: Present | None = None,
) -> Plan:
    prepared, errors = prepare(plan, workers, kept, present=present, proofs=proofs)
    prepared, more = advise(prepared, kept, jobs=jobs, present=present)
    errors += more
    if errors:
        raise combine(errors)
    return prepared


@contextlib.contextmanager
def _event_file(events: EventStream, path: Path) -> Iterator[None]:
    file = EventFile(path)
    events.listen(file)
    try:
        yield
    finally:
        file.close()
