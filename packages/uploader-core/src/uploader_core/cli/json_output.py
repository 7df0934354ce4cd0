"""A plan and a report as programs read them, with ``--json``."""

from __future__ import annotations

from uploader_core.artifact import Json
from uploader_core.planning.plan import PlannedStep, Survey
from uploader_core.running.report import Outcome, Report
from uploader_core.untrusted_json import as_json


def plan_json(survey: Survey, because: str | None) -> dict[str, Json]:
    """Return what ``uploader plan --json`` prints.

    Args:
        survey: The plan, checked.
        because: Why this source, where the user named none.
    """
    plan = survey.plan
    return {
        "schema": "uploader.plan/1",
        "release": plan.release.to_json(),
        "source": plan.sources.to_json(because),
        "output": str(plan.output),
        "destinations": list(plan.destinations),
        "steps": [_step_json(step) for step in plan.steps],
        "bytes_written": sum(step.estimate.bytes_written for step in plan.steps),
        # On the release's file system, at the tightest moment.
        "peak_disk": next((s.peak for s in plan.space if "release" in s.uses), 0),
        "bytes_downloaded": sum(d.download for d in plan.downloads),
        "space": [as_json(system) for system in plan.space],
        "peak_memory": plan.peak_memory,
        "findings": [as_json(f) for f in plan.findings],
        "kept": [*sorted(survey.kept)],
        "errors": [{**error.to_json()} for error in survey.errors],
    }


def report_json(report: Report, because: str | None) -> dict[str, Json]:
    """Return what ``uploader run --json`` prints.

    Args:
        report: Of the run.
        because: Why this source, where the user named none.
    """
    return {
        "schema": "uploader.report/1",
        "name": report.plan.release.name,
        "source": report.plan.sources.to_json(because),
        "output": str(report.plan.output),
        "manifest": None if report.manifest is None else str(report.manifest),
        "seconds": round(report.seconds, 3),
        "steps": [_outcome_json(outcome) for outcome in report.outcomes.values()],
    }


def _step_json(step: PlannedStep) -> dict[str, Json]:
    estimate = step.estimate
    return {
        "id": step.id,
        "plugin": step.plugin.id,
        "distribution": step.plugin.entry.distribution,
        "version": step.plugin.entry.version,
        "summary": step.spec.summary,
        "kind": step.kind,
        "inputs": list(step.inputs),
        "settings": step.settings_json,
        "folder": step.folder,
        "needed_by": step.needed_by,
        "target": step.target,
        "destination": step.destination,
        "bytes_written": estimate.bytes_written,
        "bytes_scratch": estimate.bytes_scratch,
        "bytes_sent": estimate.bytes_sent,
        "bytes_peak": estimate.tightest,
        "peak_memory": estimate.peak_memory,
        "gpu_memory": step.gpu_memory,
        "seconds": step.seconds,
        "seconds_from": step.seconds_from,
        "measured": step.measured,
        "exact": estimate.exact,
        "files": [{"name": n, "size": s} for n, s in estimate.files],
        "findings": [as_json(f) for f in step.findings],
    }


def _outcome_json(outcome: Outcome) -> dict[str, Json]:
    record, error = outcome.record, outcome.error
    return {
        "id": outcome.step,
        "status": outcome.status,
        "error": None if error is None else {**error.to_json()},
        "because": outcome.because,
        "seconds": None if record is None else round(record.seconds, 3),
        "receipt": None if record is None or record.receipt is None else dict(record.receipt),
    }
