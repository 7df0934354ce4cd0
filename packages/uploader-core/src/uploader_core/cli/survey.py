"""The plan as a person reads it: what is made, what it costs, and where it goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uploader_core.cli.render import show_field
from uploader_core.model_card import card_metadata
from uploader_core.plan import Plan, PlannedStep
from uploader_core.session import Survey
from uploader_core.specs import Finding
from uploader_core.text import duration_text, size_text

_LEVEL_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}
_FILES_SHOWN = 8


def show_survey(console: Console, survey: Survey) -> None:
    """Print source and release, the table of formats and destinations, space, and findings."""
    plan = survey.plan
    console.print(f"[bold]{escape(plan.release.name)}[/]")
    show_field(console, "from", plan.sources.shown)
    if plan.release.base_model:
        show_field(console, "base", plan.release.base_model)
        show_field(console, "licence", _licence(plan) or "not known: the base's card names none")
    show_field(console, "release", str(plan.output))
    console.print(_table(survey))
    _show_space(console, plan, survey)
    uploads = {id(f) for step in plan.uploads for f in step.findings if f.level == "note"}
    _show_findings(console, (f for f in plan.findings if id(f) not in uploads))


def _licence(plan: Plan) -> str | None:
    """Return what the head of the base model's card says, None where there is no card."""
    artifacts = plan.sources.artifacts
    base = artifacts.get("base") or artifacts.get("checkpoint")
    if base is None:
        return None
    try:
        text = (base.path / "README.md").read_text("utf-8")
    except (OSError, ValueError):
        return None
    named = card_metadata(text).get("license")
    return f"{' '.join(named.split())}, of the base" if isinstance(named, str) else None


def _table(survey: Survey) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=False)
    table.add_column("make", overflow="fold")
    table.add_column("", overflow="fold", ratio=1)
    for heading in ("size", "time", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in survey.plan.artifacts:
        _add_artifact(table, step, survey)
    documents = [s for s in survey.plan.steps if s.kind == "document"]
    if documents:
        done = sum(s.id in survey.kept for s in documents)
        text = f"{len(documents)}, of them {done} done already" if done else str(len(documents))
        table.add_row("  documents", text, "", "", "")
    if survey.plan.uploads:
        table.add_row("[dim]send to[/]")
    for step in survey.plan.uploads:
        _add_upload(table, step, survey)
    return table


def _add_artifact(table: Table, step: PlannedStep, survey: Survey) -> None:
    estimate = step.estimate
    about = "" if estimate.exact else "~"
    # The first clause says what it is; the rest is for `plugins info`.
    what = escape(step.spec.summary.split(",")[0])
    if step.needed_by:
        what += f" [dim](needed by {escape(step.needed_by)})[/]"
    if step.id in survey.kept:
        what = f"[green]done already[/] {what}"
    table.add_row(
        f"  [bold]{escape(step.folder or step.id)}/[/]",
        what,
        about + size_text(estimate.bytes_written) if estimate.bytes_written else "",
        _time(step),
        "~" + size_text(estimate.peak_memory) if estimate.peak_memory else "",
    )
    # Files that weigh something; a tokenizer's are not what anybody decides about.
    weights = sorted(
        (f for f in estimate.files if 20 * f[1] > estimate.bytes_written), key=lambda f: -f[1]
    )[:_FILES_SHOWN]
    if len(weights) > 1:
        for name, size in weights:
            short = name.removeprefix(survey.plan.release.name + "-")
            table.add_row("", f"[dim]{escape(short)}[/]", f"[dim]{size_text(size)}[/]", "", "")


def _add_upload(table: Table, step: PlannedStep, survey: Survey) -> None:
    sent = step.estimate.bytes_sent
    notes = [f.what for f in step.findings if f.level == "note"]
    target = step.target or ""
    what = "; ".join(notes) or step.spec.summary
    # The target is the row's name already.
    what = escape(what.removeprefix(f"{target} "))
    if step.id in survey.kept:
        what = "[green]there already[/]"
    table.add_row(
        f"  [bold]{escape(target)}[/]", what, "~" + size_text(sent) if sent else "", _time(step), ""
    )


def _time(step: PlannedStep) -> str:
    seconds = step.estimate.seconds
    return f"~{duration_text(seconds)}" if seconds else ""


def _show_space(console: Console, plan: Plan, survey: Survey) -> None:
    free = _free_bytes(plan.output)
    todo = sum(s.estimate.bytes_written for s in plan.steps if s.id not in survey.kept)
    if todo and free is not None:
        text = f"{size_text(free)} free, {size_text(free - todo)} after"
        scratch = plan.peak_disk - plan.bytes_written
        if scratch:
            text += f", {size_text(max(0, free - todo - scratch))} at the tightest"
        show_field(console, "disk", text)
    if plan.peak_memory:
        memory = _memory_bytes()
        of = f" of {size_text(memory)}" if memory else ""
        show_field(console, "memory", f"~{size_text(plan.peak_memory)}{of}")


def _free_bytes(path: Path) -> int | None:
    """Return what is free where a folder would be made."""
    for place in (path, *path.parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return None


def _memory_bytes() -> int | None:
    """Return the machine's memory, None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _show_findings(console: Console, findings: Iterable[Finding]) -> None:
    seen: set[tuple[str, str]] = set()
    for finding in findings:
        if (finding.level, finding.what) in seen:
            continue
        seen.add((finding.level, finding.what))
        show_field(console, finding.level, finding.what, style=_LEVEL_STYLE[finding.level])
        if finding.next:
            show_field(console, "", finding.next)
