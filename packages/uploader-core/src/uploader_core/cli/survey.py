"""The plan as a person reads it: what is made, what it costs, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uploader_core.card_head import card_metadata, read_card
from uploader_core.cli.render import show_field
from uploader_core.contract.specs import Finding
from uploader_core.human_text import duration_text, size_text
from uploader_core.machine.memory import look as look_at_memory
from uploader_core.model_licence import licence_of
from uploader_core.planning.plan import Plan, PlannedStep, Survey

_LEVEL_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}
_FILES_SHOWN = 8


def show_survey(console: Console, survey: Survey) -> None:
    """Print source and release, the table of formats and destinations, space, and findings."""
    plan = survey.plan
    console.print(f"[bold]{escape(plan.release.name)}[/]")
    show_field(console, "from", plan.sources.shown)
    if plan.release.base_model:
        at = f"@{plan.release.base_revision}" if plan.release.base_revision else ""
        show_field(console, "base", plan.release.base_model + at)
        show_field(console, "licence", _licence(plan) or "not known: the base's card names none")
    show_field(console, "release", str(plan.output))
    console.print(_table(survey))
    _show_space(console, plan, survey)
    uploads = {id(f) for step in plan.uploads for f in step.findings if f.level == "note"}
    show_findings(console, (f for f in plan.findings if id(f) not in uploads))


def _licence(plan: Plan) -> str | None:
    """Return what the head of the base model's card says, None where there is no card."""
    artifacts = plan.sources.artifacts
    base = artifacts.get("base") or artifacts.get("checkpoint")
    if base is None:
        return None
    head = card_metadata(read_card(base.path))
    named = licence_of(None, head, None).name or head.get("license")
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
    what = escape(step.spec.summary)
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
    return f"~{duration_text(step.seconds)}" if step.seconds else ""


_WORTH_SAYING = 10 * 10**6
"""Bytes by which the tightest moment is tighter than the end: records and logs are not."""

_USES = {"release": "the release", "download": "downloads", "copy": "copies"}


def _show_space(console: Console, plan: Plan, survey: Survey) -> None:
    for number, system in enumerate(plan.space):
        text = f"{size_text(system.free)} free, "
        text += f"{size_text(max(0, system.free - system.after))} after"
        if system.peak > system.after + _WORTH_SAYING:
            text += f", {size_text(max(0, system.free - system.peak))} at the tightest"
        for_what = ", ".join(_USES[use] for use in system.uses)
        kind = f" ({system.kind})" if system.kind else ""
        # One disk for one thing needs no name.
        if len(plan.space) > 1 or system.uses != ("release",):
            text += f"; {for_what} on {system.path}{kind}"
        show_field(console, "disk" if number == 0 else "", text)
    downloads = sum(d.download for d in plan.downloads)
    if downloads:
        names = ", ".join(d.model_id for d in plan.downloads if d.download)
        show_field(console, "download", f"{size_text(downloads)}: {names}")
    if plan.peak_memory:
        show_field(console, "memory", _memory(plan.peak_memory))
    _show_time(console, survey)


def _memory(needed: int) -> str:
    memory = look_at_memory()
    if memory is None:
        return f"~{size_text(needed)}"
    text = f"~{size_text(needed)} of {size_text(memory.total)}"
    if memory.available is not None:
        text += f", {size_text(memory.available)} available"
    return text + (f" ({memory.limited_by})" if memory.limited_by else "")


def _show_time(console: Console, survey: Survey) -> None:
    """Say where the times are from: they are worth no more than that."""
    timed = [s for s in survey.plan.steps if s.seconds and s.id not in survey.kept]
    if not timed:
        return
    sources: dict[str, list[str]] = {}
    for step in timed:
        name = step.target or step.kind if step.kind == "upload" else step.kind
        sources.setdefault(step.seconds_from, []).append(name)
    text = "; ".join(f"{', '.join(names)}: {source}" for source, names in sources.items())
    show_field(console, "time", text)


def show_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Print findings, each once, with what to do about them."""
    seen: set[tuple[str, str]] = set()
    for finding in findings:
        if (finding.level, finding.what) in seen:
            continue
        seen.add((finding.level, finding.what))
        show_field(console, finding.level, finding.what, style=_LEVEL_STYLE[finding.level])
        if finding.next:
            show_field(console, "", finding.next)
