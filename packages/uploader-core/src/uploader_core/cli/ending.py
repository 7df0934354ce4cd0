"""The last screen: what there is now, where it is, and how to run it."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.markup import escape

from uploader_core.human_text import count_text, duration_text, size_text
from uploader_core.page import NAME as PAGE
from uploader_core.page.run_commands import as_typed, use_commands
from uploader_core.running.report import Report

_VISIBILITY = {True: ", private", False: ", public", None: ""}


def show_report(console: Console, report: Report, *, quiet: bool) -> None:
    """Print folders, links and, unless quiet, the commands that run the model."""
    if not quiet:
        _show_folders(console, report)
    for step in report.plan.uploads:
        record = report.outcomes[step.id].record
        if record is None or record.receipt is None:
            continue
        private = record.receipt["private"]
        visibility = _VISIBILITY[private if isinstance(private, bool) else None]
        console.print(
            f"  [green]arrived[/] {escape(str(record.receipt['url']))}  "
            f"({count_text(record.receipt['files'], 'file')} verified{visibility})",
            soft_wrap=True,
        )
    if report.error() is not None:
        return
    outcomes = report.outcomes.values()
    ran = sum(o.status == "done" and o.record is not None for o in outcomes)
    kept = sum(o.status == "kept" and o.record is not None for o in outcomes)
    output = as_typed(report.plan.output)
    console.print(
        f"[green]done and verified[/] in {duration_text(report.seconds)}: "
        f"{count_text(ran, 'step')} run, {kept} kept  {escape(str(output))}",
        soft_wrap=True,
    )
    if quiet:
        return
    lines = use_commands(report)
    if lines:
        console.print("run it:")
    for program, command in lines:
        console.print(f"  [dim]{escape(program)}[/]", soft_wrap=True)
        console.print(f"    {escape(command)}", soft_wrap=True)
    console.print(
        f"  [dim]check it any time[/]\n    uploader verify {escape(shlex.quote(str(output)))}\n"
        f"  [dim]look at it[/]\n    {escape(str(output / PAGE))}",
        soft_wrap=True,
    )


def _show_folders(console: Console, report: Report) -> None:
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        if record is None or record.artifact is None:
            continue
        console.print(
            f"  [bold]{escape(step.folder or '')}/[/]  "
            f"{count_text(len(record.artifact.files), 'file')}, {size_text(record.artifact.size)}"
        )
