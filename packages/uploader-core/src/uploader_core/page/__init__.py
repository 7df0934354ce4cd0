"""``report.html``: what a run came to, on one page that needs no network.

This module is an observer of runs, as a plugin may be one.
"""

from __future__ import annotations

from uploader_core.contract.hookspecs import hookimpl
from uploader_core.page.run_commands import check_uses
from uploader_core.page.write import NAME, write_page
from uploader_core.release.record import INTERNAL
from uploader_core.running.report import Report

__all__ = ["NAME", "uploader_run_finished", "write_page"]


@hookimpl
def uploader_run_finished(report: Report) -> None:
    """Write the page about the run; an observer that fails never fails the run.

    Raises:
        PluginError: It is written, but a plugin could not say how its format is run.
    """
    internal = report.plan.output / INTERNAL
    write_page(report, report.plan.output, internal / "events.jsonl", internal / "work")
    if report.error() is None:
        check_uses(report)
