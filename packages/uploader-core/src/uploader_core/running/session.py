"""A request from beginning to end: plan, survey, prepare, run. The CLI and scripts call this."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from uploader_core.advice import step_times
from uploader_core.advice.disk_space import downloads_fit
from uploader_core.advice.machine_warnings import advise
from uploader_core.advice.redo import mark
from uploader_core.advice.strangers import find_strangers_in_release
from uploader_core.errors import combine, refuse_if
from uploader_core.jobs.job_folder import withdraw_all
from uploader_core.jobs.pieces import Division
from uploader_core.manifest.build import write_manifest
from uploader_core.means import ALONE, Means
from uploader_core.places import with_documents_of_places
from uploader_core.planning.fetching import OUTLINED, Fetcher
from uploader_core.planning.plan import Plan, Survey
from uploader_core.planning.planner import build_plan
from uploader_core.planning.preflight import prepare
from uploader_core.planning.proofs import Proofs
from uploader_core.planning.request import Request
from uploader_core.plugins.registry import Registry
from uploader_core.release.store import ReleaseStore
from uploader_core.running.events import EventFile, EventStream
from uploader_core.running.report import Outcome, Report
from uploader_core.running.results import Results
from uploader_core.running.run_hooks import RunHooks
from uploader_core.running.scheduler import run_steps
from uploader_core.running.step_run import StepRun
from uploader_core.running.survey import examine, present, remembered
from uploader_core.uploads.attempts import Attempts
from uploader_core.user_config.configuration import Config
from uploader_core.workers.pool import Workers


def look(
    request: Request, registry: Registry, config: Config, *, jobs: int = 1, means: Means = ALONE
) -> Survey:
    """Plan a request and check it, writing nothing.

    Args:
        request: What the user wants.
        registry: Installed plugins.
        config: Settings.
        jobs: Heavy steps side by side; they need more disk and memory together.
        means: What it shares with other runs.

    Raises:
        UploaderError: The request cannot be planned at all.
    """
    plan = _planned(request, registry, config, means, OUTLINED)
    return _look_at(plan, config, jobs, means)


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
    observers: Iterable[object] = (),
    means: Means = ALONE,
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
        observers: With hooks that observe the run, after those of the plan's plugins.
        means: What it shares with other runs.

    Returns:
        The report; its ``error()`` is None when everything is done and verified.

    Raises:
        UploaderError: Refused before the first step.
        CancelledError: Stopped; finished steps are kept.
    """
    environment, jobs = config.environment, means.places(jobs)
    plan = _plan_and_fetch(request, registry, config, jobs, means)
    store = ReleaseStore(plan.output)
    store.check_foreign()
    fresh = not store.internal.is_dir()
    with (
        contextlib.closing(Proofs(means.workers(environment))) as proofs,
        contextlib.closing(means.workers(environment)) as early,
    ):

        def agree(results: Results, workers: Workers) -> Plan:
            """Refuse what cannot run, all reasons at once, and have the rest confirmed."""
            survey = _check(plan, store, results, workers, proofs, jobs)
            refuse_if(survey.errors)
            refuse_if(find_strangers_in_release(survey.plan, store))
            confirm(survey)
            return survey.plan

        if fresh:  # before the first byte: nothing is created for a request that cannot run
            if means.crew is None:
                _warm_up(plan, early)
            plan = agree(remembered(plan, store, early), early)
        with (
            store.open(means.wait(events)),
            contextlib.closing(EventFile(store.internal / "events.jsonl")) as log,
            contextlib.closing(
                means.step_workers(plan, store.internal, environment, events)
            ) as workers,
        ):
            events.listen(log)
            workers.adopt(early)
            store.sweep()
            if means.crew is None:
                withdraw_all(store.internal)
            attempts = Attempts(
                store.internal, environment, lambda what: events.emit("warning", "", what=what)
            )
            attempts.clean_up_earlier(plan.uploads)
            events.emit("run_started", "", name=plan.release.name, output=str(plan.output))
            results = examine(
                plan,
                store,
                workers,
                means.digests(store.internal, believe=not checksum),
                checksum=checksum,
                before_reading=lambda: _warm_up(plan, workers),
                hashed=lambda name, size: events.emit("sources_hashed", file=name, size=size),
            )
            if not fresh:
                plan = agree(results, workers)
            plan, found, errors = proofs.finish(plan)
            for finding in found:
                events.emit("finding", "", **finding.to_json())
            if not errors:
                hooks = RunHooks(plan, observers, events)
                places = threading.Semaphore(jobs)
                steps = StepRun(
                    plan=plan, results=results, store=store, workers=workers, hooks=hooks,
                    events=events, attempts=attempts,
                    division=Division(jobs, places, environment),
                )  # fmt: skip
                report = _execute(steps, places, jobs=jobs, fail_fast=fail_fast)
                error = report.error()
                events.emit("run_finished", "", exit_code=0 if error is None else error.exit_code)
                return report
        if fresh:
            store.abandon()
        raise combine(errors)


def _planned(
    request: Request, registry: Registry, config: Config, means: Means, outlines: Collection[str]
) -> Plan:
    fetcher = Fetcher(registry, means.workers(config.environment), outlines)
    plan = build_plan(request, registry, config, fetcher)
    return mark(with_documents_of_places(plan, request, registry, config), request.redo)


def _execute(run: StepRun, places: threading.Semaphore, *, jobs: int, fail_fast: bool) -> Report:
    """Run every step that is not kept.

    Raises:
        CancelledError: The user stopped the run; finished steps are recorded.
    """
    started = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    for step in run.plan.steps:
        if step.id in run.results.kept:
            record = run.results.records.get(step.id)
            outcomes[step.id] = Outcome(step=step.id, status="kept", record=record)
            run.events.emit("step_kept", step.id)
    run.hooks.observe("uploader_run_started", plan=run.plan)
    outcomes |= run_steps(
        [step for step in run.plan.steps if step.id not in outcomes],
        run.start,
        events=run.events,
        stop=run.workers.stop,
        jobs=jobs,
        places=places,
        fail_fast=fail_fast,
    )
    report = Report(
        plan=run.plan,
        outcomes={step.id: outcomes[step.id] for step in run.plan.steps},
        seconds=time.monotonic() - started,
        manifest=write_manifest(run.plan, run.results.facts, run.store),
    )
    run.hooks.observe("uploader_run_finished", report=report)
    step_times.learn((run.plan.step(name), took) for name, took in run.seconds.items())
    return report


def _warm_up(plan: Plan, workers: Workers) -> None:
    """Let the first step's worker import what it needs while the plan is checked and hashed."""
    for step in plan.steps:
        if not (step.is_virtual or step.uploads) and step.spec.isolation == "process":
            workers.warm(step.spec.run, step.plugin.entry.owner)
            return


def _plan_and_fetch(
    request: Request, registry: Registry, config: Config, jobs: int, means: Means
) -> Plan:
    """Refuse what cannot run before gigabytes of weights are fetched for it, then fetch them.

    Of a base that no step consumes the outline will do.
    """
    plan = _planned(request, registry, config, means, OUTLINED)
    if not any(download.outline for download in plan.downloads):
        return plan
    # A release that was begun has steps that are kept, which only the real source shows.
    if ReleaseStore(plan.output).internal.is_dir():
        refuse_if(downloads_fit(plan.downloads, plan))
    else:
        refuse_if(_look_at(plan, config, jobs, means).errors)
    spare = () if plan.needs_base else ("base",)
    return _planned(request, registry, config, means, spare)


def _look_at(plan: Plan, config: Config, jobs: int, means: Means) -> Survey:
    """Check a plan with what is remembered of its release, proofs and all; nothing is written."""
    store = ReleaseStore(plan.output)
    store.check_foreign()
    workers = means.workers(config.environment)
    with contextlib.closing(Proofs(means.workers(config.environment))) as proofs:
        survey = _check(plan, store, remembered(plan, store, workers), workers, proofs, jobs)
        proved, _, unproved = proofs.finish(survey.plan)
    errors = (*survey.errors, *unproved, *find_strangers_in_release(proved, store))
    return replace(survey, plan=proved, errors=errors)


def _check(
    plan: Plan, store: ReleaseStore, results: Results, workers: Workers, proofs: Proofs, jobs: int
) -> Survey:
    """Fill a plan with what it comes to, and find what refuses it; proofs are only begun.

    Args:
        plan: From the planner.
        store: The release folder, which need not exist.
        results: What of the plan is there already.
        workers: For the checks that need one.
        proofs: Where checks that take seconds are begun.
        jobs: Heavy steps side by side.
    """
    kept, there = frozenset(results.kept), present(results, plan, store)
    plan = replace(plan, virtual=results.virtual)
    plan, errors = prepare(plan, workers, proofs, kept, there)
    plan, more = advise(plan, kept, jobs=jobs, present=there)
    return Survey(plan=plan, kept=kept, errors=(*errors, *more))
