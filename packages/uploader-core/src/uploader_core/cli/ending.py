"""The last screen: what there is now, where it is, and how to run it."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from uploader_core.context import UseContext
from uploader_core.errors import UploaderError
from uploader_core.plan import PlannedStep
from uploader_core.registry import import_dotted
from uploader_core.report import Report
from uploader_core.specs import ConvertSpec, SaveSpec
from uploader_core.text import duration_text, size_text

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
            f"({record.receipt['files']} files verified{visibility})",
            soft_wrap=True,
        )
    if report.error() is not None:
        return
    outcomes = report.outcomes.values()
    ran = sum(o.status == "done" and o.record is not None for o in outcomes)
    kept = sum(o.status == "kept" and o.record is not None for o in outcomes)
    output = _as_typed(report.plan.output)
    console.print(
        f"[green]done and verified[/] in {duration_text(report.seconds)}: {ran} steps run, "
        f"{kept} kept  {escape(str(output))}",
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
        f"  [dim]check it any time[/]\n    uploader verify {escape(shlex.quote(str(output)))}",
        soft_wrap=True,
    )


def use_commands(report: Report) -> list[tuple[str, str]]:
    """Return programs and commands that run what was made, the first of each program."""
    found: dict[str, str] = {}
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        spec = step.spec
        if (
            record is None
            or record.artifact is None
            or not isinstance(spec, (SaveSpec, ConvertSpec))
            or spec.use is None
        ):
            continue
        context = UseContext(
            artifact=replace(record.artifact, path=_as_typed(record.artifact.path)),
            release=report.plan.release,
            published=_published(report, step),
        )
        # It is the end of a run that went well: a hint that fails is no reason to say otherwise.
        with contextlib.suppress(UploaderError, ValueError, KeyError, TypeError):
            for program, command in import_dotted(spec.use, step.plugin.entry.owner)(context):
                found.setdefault(str(program), str(command))
    return list(found.items())


def _as_typed(path: Path) -> Path:
    """Return a path as it can be typed here: relative where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path


def _published(report: Report, step: PlannedStep) -> dict[str, str]:
    """Find the destinations where an artifact is alone, so that its name is that of the target."""
    found = {}
    for upload in report.plan.uploads:
        record = report.outcomes[upload.id].record
        alone = upload.flatten and upload.destination and upload.target
        if alone and step.id in upload.inputs and record is not None:
            found[str(upload.destination).partition(":")[0]] = str(upload.target)
    return found


def _show_folders(console: Console, report: Report) -> None:
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        if record is None or record.artifact is None:
            continue
        console.print(
            f"  [bold]{escape(step.folder or '')}/[/]  "
            f"{len(record.artifact.files)} files, {size_text(record.artifact.size)}"
        )
