"""What a person sees: the plan, progress while it runs, and the end.

A terminal gets a live display; anything else gets one line per change and one every 30 seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from uploader_core.events import Event
from uploader_core.report import Report
from uploader_core.session import Survey
from uploader_core.text import duration_text, size_text

_LEVEL_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}


def make_console(*, stderr: bool = False) -> Console:
    """Return the console; ``NO_COLOR`` and ``TERM=dumb`` are honoured by rich."""
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def show_survey(console: Console, survey: Survey) -> None:
    """Print the plan as a table, then its findings."""
    plan = survey.plan
    console.print(f"[bold]{escape(plan.release.name)}[/]  from {escape(plan.sources.shown)}")
    if plan.release.base_model:
        console.print(f"  base    {escape(plan.release.base_model)}")
    console.print(f"  release {escape(str(plan.output))}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("step", "what", "writes", "sends", "memory"):
        justify = "left" if heading in ("step", "what") else "right"
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for step in plan.steps:
        note = escape(step.spec.summary)
        if step.needed_by and not step.is_virtual:
            note += f" [dim](needed by {escape(step.needed_by)})[/]"
        elif step.needed_by:
            note += f" [dim](for {escape(step.needed_by)}, no files)[/]"
        if step.id in survey.kept and not step.is_virtual:
            note = f"[green]done already[/] {note}"
        estimate = step.estimate
        about = "" if estimate.exact else "~"
        table.add_row(
            escape(step.id),
            note,
            about + size_text(estimate.bytes_written) if estimate.bytes_written else "",
            "~" + size_text(estimate.bytes_sent) if estimate.bytes_sent else "",
            "~" + size_text(estimate.peak_memory) if estimate.peak_memory else "",
        )
    console.print(table)
    if plan.peak_disk:
        console.print(
            f"  disk {size_text(plan.bytes_written)} to keep, {size_text(plan.peak_disk)} at the "
            "peak"
        )
    for finding in plan.findings:
        console.print(f"  [{_LEVEL_STYLE[finding.level]}]{finding.level}[/] {escape(finding.what)}")
        if finding.next:
            console.print(f"    [dim]{escape(finding.next)}[/]")


class Renderer:
    """Listens to events and shows nothing; the base of the two that do."""

    def begin(self, survey: Survey) -> None:
        """Take the plan that is going to run."""

    def __call__(self, event: Event) -> None:
        return


class LineRenderer(Renderer):
    """Plain lines: each change, and progress at most every 30 seconds."""

    EVERY = 30.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        data = event.data
        line: str | None = None
        if event.type == "step_started":
            self._last[event.step] = event.time
            line = f"start   {event.step}"
        elif event.type == "step_done":
            seconds = data["seconds"]
            assert isinstance(seconds, (int, float))
            line = f"done    {event.step}  {duration_text(seconds)}"
        elif event.type == "step_failed":
            line = f"failed  {event.step}  {data['what']}"
        elif event.type == "step_skipped":
            line = f"skipped {event.step}  (waits for {data['because']})"
        elif event.type == "warning":
            line = f"warning {event.step} {data['what']}"
        elif event.type == "step_progress" and self._is_due(event):
            self._last[event.step] = event.time
            line = f"        {event.step}  {data['what']}  {_amount(event)}"
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)

    def _is_due(self, event: Event) -> bool:
        return event.time - self._last.get(event.step, 0.0) >= self.EVERY


class LiveRenderer(Renderer):
    """A table of bars for the running steps; finished ones become lines above it."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._lines = LineRenderer(console)
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.type == "step_started":
            # Not earlier: a question may be asked before the first step.
            self._progress.start()
            self._tasks[event.step] = self._progress.add_task(
                event.step, total=None, what="", amount=""
            )
        elif event.type == "step_progress" and event.step in self._tasks:
            done, total = event.data["done"], event.data["total"]
            assert isinstance(done, int)
            assert total is None or isinstance(total, int)
            self._progress.update(
                self._tasks[event.step],
                completed=done,
                total=total,
                what=str(event.data["what"]),
                amount=_amount(event),
            )
        elif event.type != "step_progress":
            if event.type in ("step_done", "step_failed") and event.step in self._tasks:
                self._progress.remove_task(self._tasks.pop(event.step))
            self._lines(event)


def _amount(event: Event) -> str:
    done, total, unit = event.data["done"], event.data["total"], event.data["unit"]
    assert isinstance(done, int)
    assert total is None or isinstance(total, int)
    if unit == "bytes":
        text = size_text(done)
        return f"{text} of {size_text(total)}" if total is not None else text
    return f"{done} of {total} {unit}" if total is not None else f"{done} {unit}"


@contextlib.contextmanager
def make_renderer(console: Console, *, enabled: bool) -> Iterator[Renderer]:
    """Choose the renderer that fits where the output goes."""
    if not enabled:
        yield Renderer()
    elif not console.is_terminal:
        yield LineRenderer(console)
    else:
        progress = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}"),
            TextColumn("{task.fields[what]}", style="dim"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        try:
            yield LiveRenderer(console, progress)
        finally:
            progress.stop()


def show_report(console: Console, report: Report, *, quiet: bool) -> None:
    """Print what there is now, and where."""
    outcomes = report.outcomes.values()
    ran = sum(o.status == "done" and o.record is not None for o in outcomes)
    kept = sum(o.status == "kept" and o.record is not None for o in outcomes)
    if not quiet:
        for step in report.plan.artifacts:
            record = report.outcomes[step.id].record
            if record is None or record.artifact is None:
                continue
            console.print(
                f"  [bold]{escape(step.folder or '')}/[/]  "
                f"{len(record.artifact.files)} files, {size_text(record.artifact.size)}"
            )
    for step in report.plan.uploads:
        record = report.outcomes[step.id].record
        if record is None or record.receipt is None:
            continue
        private = {True: ", private", False: ", public", None: ""}[record.receipt["private"]]  # type: ignore[index]
        console.print(
            f"  [green]arrived[/] {escape(str(record.receipt['url']))}  "
            f"({record.receipt['files']} files verified{private})"
        )
    if report.error() is None:
        console.print(
            f"[green]done and verified[/] in {duration_text(report.seconds)}: {ran} steps run, "
            f"{kept} kept  {escape(str(report.plan.output))}"
        )
        if not quiet:
            console.print(f"  check it any time: uploader verify {escape(str(report.plan.output))}")
