"""How a batch ended, for programs and as one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.batch.drive import BatchReport, Ending
from uploader_core.batch.outlook import Outlook, Prospect
from uploader_core.disk.safe_write import write_bytes
from uploader_core.human_text import count_text, duration_text, size_text
from uploader_core.page.markup import Markup, element, join, link, section, table
from uploader_core.page.write import NAME as PAGE
from uploader_core.page.write import document
from uploader_core.untrusted_json import as_json


def outlook_json(outlook: Outlook) -> dict[str, Json]:
    """Return what ``uploader batch --dry-run --json`` prints."""
    return {
        "schema": "uploader.batch-plan/1",
        "at_once": outlook.at_once,
        "runs": [_prospect_json(prospect) for prospect in outlook.prospects],
        "left_out": [{"source": s, "why": why} for s, why in outlook.left_out.items()],
        "space": [as_json(system) for system in outlook.space],
        "warnings": [*outlook.warnings],
    }


def report_json(report: BatchReport, page: Path) -> dict[str, Json]:
    """Return what ``uploader batch --json`` prints.

    Args:
        report: Of the batch.
        page: Where its page is.
    """
    return {
        "schema": "uploader.batch/1",
        "seconds": round(report.seconds, 3),
        "page": str(page),
        "runs": [_ending_json(ending) for ending in report.endings],
        "left_out": [{"source": s, "why": why} for s, why in report.outlook.left_out.items()],
    }


def write_page(report: BatchReport, path: Path) -> None:
    """Write one page about all runs, with links to their own.

    Args:
        report: Of the batch.
        path: Of the page.
    """
    write_bytes(path, document("batch — uploader", _body(report, path.parent)).encode("utf-8"))


def made_bytes(ending: Ending) -> int:
    """Return the bytes of the formats of a release."""
    outcomes = () if ending.report is None else ending.report.outcomes.values()
    records = (outcome.record for outcome in outcomes)
    return sum(r.artifact.size for r in records if r is not None and r.artifact is not None)


def arrived(ending: Ending) -> Iterator[str]:
    """Yield the addresses at which what a run sent has arrived."""
    for outcome in () if ending.report is None else ending.report.outcomes.values():
        if outcome.record is not None and outcome.record.receipt is not None:
            yield str(outcome.record.receipt["url"])


def _prospect_json(prospect: Prospect) -> dict[str, Json]:
    survey = prospect.survey
    return {
        "name": prospect.name,
        "source": prospect.request.source,
        "output": None if prospect.output is None else str(prospect.output),
        "done": prospect.done,
        "formats": [] if survey is None else [step.kind for step in survey.plan.artifacts],
        "bytes_written": 0
        if survey is None
        else sum(step.estimate.bytes_written for step in survey.plan.steps),
        "error": None if prospect.error is None else {**prospect.error.to_json()},
    }


def _ending_json(ending: Ending) -> dict[str, Json]:
    report = ending.report
    return {
        "name": ending.prospect.name,
        "source": ending.prospect.request.source,
        "output": None if ending.prospect.output is None else str(ending.prospect.output),
        "status": ending.status,
        "seconds": round(ending.seconds, 3),
        "manifest": None if report is None or report.manifest is None else str(report.manifest),
        "arrived": [*arrived(ending)],
        "error": None if ending.error is None else {**ending.error.to_json()},
    }


def _body(report: BatchReport, beside: Path) -> Markup:
    done, kept = report.count("done"), report.count("kept")
    rows = [
        (
            _release(ending, beside),
            ending.prospect.request.source,
            ending.status,
            size_text(size) if (size := made_bytes(ending)) else "",
            duration_text(ending.seconds) if ending.seconds else "",
            "; ".join(arrived(ending)),
            "" if ending.error is None else ending.error.what,
        )
        for ending in report.endings
    ]
    heads = ("release", "source", "status", "#size", "#time", "arrived", "error")
    left_out = report.outlook.left_out.items()
    return join(
        [
            element("h1", count_text(len(report.endings), "release")),
            element(
                "p",
                f"{done} done, {kept} kept, {len(report.endings) - done - kept} not done, in "
                f"{duration_text(report.seconds)}",
            ),
            section("Runs", table(heads, rows)),
            section("Left out", table(("folder", "because"), left_out)) if left_out else "",
        ]
    )


def _release(ending: Ending, beside: Path) -> object:
    output = ending.prospect.output
    if ending.report is None or output is None or not output.is_relative_to(beside):
        return ending.prospect.name
    return link((output.relative_to(beside) / PAGE).as_posix(), ending.prospect.name)
