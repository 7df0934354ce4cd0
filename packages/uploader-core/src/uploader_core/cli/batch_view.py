"""A batch on a terminal: what it will do, how far it is, how it ended."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from uploader_core.batch.drive import BatchReport
from uploader_core.batch.outlook import Outlook, Prospect
from uploader_core.batch.summary import made_bytes
from uploader_core.batch.wanted import Wanted
from uploader_core.cli.render import show_field
from uploader_core.contract.specs import Finding
from uploader_core.human_text import count_text, duration_text, size_text
from uploader_core.page.run_commands import as_typed
from uploader_core.running.events import Event
from uploader_core.untrusted_json import expect

_LEVELS = ("error", "warning")
_STYLES = {
    "done": "green",
    "kept": "green",
    "failed": "red",
    "refused": "red",
    "stopped": "yellow",
}
_EVERY = 30.0
_BAR = 24


def show_outlook(console: Console, outlook: Outlook) -> None:
    """Print the table of runs, the room that they need together, and what is said of them."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=False)
    table.add_column("release", overflow="fold")
    table.add_column("formats", overflow="fold", ratio=1)
    for heading in ("size", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for prospect in outlook.prospects:
        table.add_row(f"  [bold]{escape(prospect.name)}[/]", *_cells(prospect))
    console.print(table)
    for source, why in outlook.left_out.items():
        show_field(console, "left out", f"{source}: {why}")
    for system in outlook.space:
        text = f"{size_text(system.free)} free, {size_text(max(0, system.free - system.after))}"
        tightest = size_text(max(0, system.free - system.peak))
        show_field(console, "disk", f"{text} after all runs, {tightest} at the tightest")
    show_field(console, "runs", f"{len(outlook.runnable)}, {outlook.at_once} side by side")
    for warning in outlook.warnings:
        show_field(console, "warning", warning, style="yellow")
    _show_findings(console, outlook)


def _cells(prospect: Prospect) -> tuple[str, str, str]:
    survey = prospect.survey
    if prospect.error is not None:
        return f"[red]refused[/] {escape(prospect.error.what)}", "", ""
    if survey is None or prospect.done:
        return "[green]done already[/]", "", ""
    todo = [s for s in survey.plan.steps if s.id not in survey.kept]
    kinds = ", ".join(s.kind for s in survey.plan.artifacts)
    to = ", ".join(survey.plan.destinations)
    seconds = sum(step.seconds or 0.0 for step in todo)
    return (
        escape(kinds + (f" to {to}" if to else "")),
        size_text(sum(step.estimate.bytes_written for step in todo)),
        f"~{duration_text(seconds)}" if seconds else "",
    )


def _show_findings(console: Console, outlook: Outlook) -> None:
    """Print what plans warn of, each once with the number of runs that it is about."""
    found: Counter[Finding] = Counter()
    for prospect in outlook.runnable:
        if prospect.survey is not None:
            found.update({f for f in prospect.survey.plan.findings if f.level in _LEVELS})
    for finding, runs in found.items():
        of = f" ({count_text(runs, 'run')})" if len(outlook.runnable) > 1 else ""
        show_field(console, finding.level, finding.what + of, style="yellow")
        if finding.next:
            show_field(console, "", finding.next)


def show_report(console: Console, report: BatchReport, page: Path, *, quiet: bool) -> None:
    """Print how every run ended, and the numbers of the whole."""
    for ending in report.endings:
        bad = ending.error is not None
        if quiet and not bad:
            continue
        style = _STYLES[ending.status]
        about = [duration_text(ending.seconds)] if ending.seconds else []
        about += [size_text(size)] if (size := made_bytes(ending)) else []
        about += [ending.error.what] if ending.error is not None else []
        where = as_typed(ending.prospect.output) if ending.prospect.output is not None else ""
        console.print(
            f"  [{style}]{ending.status:<8}[/] [bold]{escape(ending.prospect.name)}[/]  "
            f"{escape('  '.join([*about, str(where)]))}",
            soft_wrap=True,
        )
    done = report.count("done")
    rate = f", one every {duration_text(report.seconds / done)}" if done else ""
    left = len(report.endings) - done - report.count("kept")
    verdict = "[yellow]not all done[/]" if left else "[green]done and verified[/]"
    console.print(
        f"{verdict} in {duration_text(report.seconds)}: {done} made{rate}, "
        f"{report.count('kept')} kept, {left} not done",
        soft_wrap=True,
    )
    if not quiet:
        shown = escape(str(as_typed(page)))
        console.print(f"  [dim]look at it[/]\n    {shown}", soft_wrap=True)


class View:
    """Shows how far a batch is; a context manager. This one shows nothing.

    Attributes:
        ended: Runs that ended.
        total: Runs that can run.
    """

    def __init__(self) -> None:
        self.ended = self.total = 0
        self._made = 0
        self._began = time.time()
        self._todo = 0

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def planning(self, wanted: Wanted) -> None:
        """A run is being planned."""

    def begin(self, outlook: Outlook) -> None:
        """The batch begins."""
        self.total = len(outlook.runnable)
        self._todo = sum(not prospect.done for prospect in outlook.runnable)
        self._began = time.time()

    def __call__(self, prospect: Prospect, event: Event) -> None:
        if event.type == "batch_ended":
            self.ended += 1
            self._made += event.data["status"] == "done"

    def tick(self) -> None:
        """Time passes."""

    def rate(self, now: float) -> str:
        """Say how fast it goes and how long it takes yet, from the runs that are done."""
        if not self._made:
            return "time left not known yet"
        each = (now - self._began) / self._made
        left = max(0, self._todo - self._made)
        text = f"one every {duration_text(each)}"
        return f"{text}, all in ~{duration_text(each * left)}" if left else text


class LineView(View):
    """Plain lines: each run that begins and ends, and a sign of life every 30 seconds."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._last = time.time()

    def __call__(self, prospect: Prospect, event: Event) -> None:
        super().__call__(prospect, event)
        line = _line(prospect, event)
        if event.type == "batch_ended":
            line += f"  [{self.ended} of {self.total}; {self.rate(event.time)}]"
        if line:
            self._print(line)

    def tick(self) -> None:
        """Say what goes on when nothing else was said for a while."""
        if time.time() - self._last >= _EVERY:
            self._print(f"running {self.ended} of {self.total} ended; {self.rate(time.time())}")

    def _print(self, line: str) -> None:
        self._last = time.time()
        self._console.print(line, markup=False, soft_wrap=True)


class LiveView(View):
    """A bar for the batch and a line for each run that runs; what ended becomes lines above."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=5)
        self._running: dict[str, tuple[float, str]] = {}
        self._planning = ""

    def __enter__(self) -> View:
        self._live = Live(self, console=self._console, transient=True, refresh_per_second=5)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def planning(self, wanted: Wanted) -> None:
        self._planning = wanted.name

    def begin(self, outlook: Outlook) -> None:
        super().begin(outlook)
        self._planning = ""

    def __call__(self, prospect: Prospect, event: Event) -> None:
        super().__call__(prospect, event)
        where = prospect.wanted.where
        if event.type == "batch_started":
            self._running[where] = (event.time, prospect.name)
        elif event.type == "step_started" and where in self._running:
            self._running[where] = (self._running[where][0], f"{prospect.name}  {event.step}")
        elif event.type == "batch_ended":
            self._running.pop(where, None)
        line = _line(prospect, event)
        if line and event.type != "batch_started":
            self._console.print(line, markup=False, soft_wrap=True)

    def __rich__(self) -> RenderableType:
        now = time.time()
        if self._planning:
            return Text(f"        planning {self._planning}", style="dim")
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            Text(f"{self.ended} of {self.total}", style="bold"),
            ProgressBar(total=max(1, self.total), completed=self.ended, width=_BAR),
            Text(self.rate(now)),
        )
        running = [*self._running.values()]
        lines = [Text(f"  {what}  {duration_text(now - since)}", style="dim")
                 for since, what in running]  # fmt: skip
        return Group(bar, *lines)


def _line(prospect: Prospect, event: Event) -> str:
    """Return the line for an event, "" for none."""
    data = event.data
    if event.type == "batch_started":
        return f"start   {prospect.name}"
    if event.type == "batch_ended":
        seconds = duration_text(expect(data["seconds"], float))
        what = f"  {data['what']}" if "what" in data else ""
        return f"{data['status']!s:<7} {prospect.name}  {seconds}{what}"
    if event.type == "warning":
        return f"warning {prospect.name}  {event.step} {data['what']}"
    return ""


def make_view(console: Console, *, enabled: bool) -> View:
    """Choose the view that fits where the output goes."""
    if not enabled:
        return View()
    if not console.is_terminal or console.is_dumb_terminal:
        return LineView(console)
    return LiveView(console)
