"""Progress while a run goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from uploader_core.cli.progress import StepProgress, Tracker
from uploader_core.cli.survey import show_findings
from uploader_core.contract.specs import Finding
from uploader_core.human_text import duration_text, size_text
from uploader_core.planning.plan import Survey
from uploader_core.running.events import Event
from uploader_core.untrusted_json import expect

_BAR = 16


class Renderer:
    """Listens to events and shows nothing; the base of the two that do."""

    def begin(self, survey: Survey) -> None:
        """Take the plan that is going to run."""

    def __call__(self, event: Event) -> None:
        return


class LineRenderer(Renderer):
    """Plain lines: each change, and a sign of life at least every 30 seconds."""

    EVERY = 30.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tracker = Tracker()
        self._last = time.time()

    def begin(self, survey: Survey) -> None:
        self._tracker.begin(survey.plan, survey.kept)

    def __call__(self, event: Event) -> None:
        self._tracker(event)
        line = self._line(event)
        if line is not None:
            self._print(line, event.time)
        elif event.type == "finding":
            show_findings(self._console, [Finding.from_json({**event.data})])

    def tick(self) -> None:
        """Say what goes on when nothing else was said for a while."""
        now = time.time()
        running = self._tracker.running()
        if now - self._last < self.EVERY or not running:
            return
        first, end = self._tracker.remaining(now)
        left = "".join(f"; {text}" for text in [left_text(first, end)] if text)
        at = "; ".join(" ".join(filter(None, (s.id, amount_text(s, now), s.what))) for s in running)
        self._print(f"running {at}{left}", now)

    def _print(self, line: str, now: float) -> None:
        self._last = now
        self._console.print(line, markup=False, soft_wrap=True)

    def _line(self, event: Event) -> str | None:
        data = event.data
        if event.type == "step_started":
            return f"start   {event.step}"
        if event.type == "step_done":
            return f"done    {event.step}  {duration_text(expect(data['seconds'], float))}"
        if event.type == "step_failed":
            return f"failed  {event.step}  {data['what']}"
        if event.type == "step_skipped":
            return f"skipped {event.step}  (waits for {data['because']})"
        if event.type == "warning":
            return f"warning {event.step} {data['what']}"
        return None


class LiveRenderer(Renderer):
    """Bars for the running steps and the time that is left; what is done becomes lines above."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._tracker = Tracker()

    def begin(self, survey: Survey) -> None:
        self._tracker.begin(survey.plan, survey.kept)

    def __call__(self, event: Event) -> None:
        self._tracker(event)
        step = event.step
        if event.type == "step_started":
            # Not earlier: a question may be asked before the first step.
            self._live.start()
        elif event.type == "step_done":
            seconds = expect(event.data["seconds"], float)
            self._say(f"[green]done[/]    {escape(step)}  [dim]{duration_text(seconds)}[/]")
        elif event.type == "step_failed":
            self._say(f"[red]failed[/]  {escape(step)}  {escape(str(event.data['what']))}")
        elif event.type == "step_skipped":
            because = escape(str(event.data["because"]))
            self._say(f"[yellow]skipped[/] {escape(step)}  (waits for {because})")
        elif event.type == "warning":
            self._say(f"[yellow]warning[/] {escape(step)} {escape(str(event.data['what']))}")
        elif event.type == "finding":
            show_findings(self._console, [Finding.from_json({**event.data})])

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def __rich__(self) -> RenderableType:
        now = time.time()
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(width=_BAR)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        running = self._tracker.running()
        amounts = [amount_text(s, now) or duration_text(now - s.started) for s in running]
        # What a step is at is next to its bar where there is room, and below where there is not.
        widths = [max(map(len, texts), default=0) for texts in ([s.id for s in running], amounts)]
        room = self._console.width - sum(widths) - _BAR - 3
        beside = all(len(step.what) <= room for step in running)
        for step, amount in zip(running, amounts, strict=True):
            fraction = step.fraction()
            table.add_row(
                Text(step.id, style="bold"),
                ProgressBar(
                    total=1.0, completed=fraction or 0.0, pulse=fraction is None, width=_BAR
                ),
                Text(amount),
                Text(step.what if beside else "", style="dim"),
            )
        details = []
        for step in running:
            if step.what and not beside:
                whose = f"{step.id}  " if len(running) > 1 else ""
                text = f"        {whose}{step.what}"
                details.append(Text(text, style="dim", no_wrap=True, overflow="ellipsis"))
        waiting = sum(s.state == "waiting" for s in self._tracker.steps.values())
        first, end = self._tracker.remaining(now)
        parts = [f"{waiting} waiting" if waiting else "", left_text(first, end)]
        left = Text("        " + ", ".join(filter(None, parts)), style="dim")
        return Group(table, *details, left)


def left_text(first: float | None, end: float | None) -> str:
    """Say how long it takes yet, and that it is not known where it is not; "" at the end."""
    if end == 0:
        return ""
    usable = f"first usable in ~{duration_text(first)}, " if first else ""
    return usable + ("time left not known yet" if end is None else f"all in ~{duration_text(end)}")


def amount_text(step: StepProgress, now: float) -> str:
    """Say how much of a step is done, and how fast it goes."""
    if not step.unit or (step.total is None and not step.done):
        return ""
    if step.unit != "bytes":
        return f"{step.done}" + (f" of {step.total}" if step.total else "") + f" {step.unit}"
    rate = step.rate(now)
    text = size_text(step.done) + (f" of {size_text(step.total)}" if step.total else "")
    return f"{text}, {size_text(int(rate))}/s" if rate else text


@contextlib.contextmanager
def make_renderer(console: Console, *, enabled: bool) -> Iterator[Renderer]:
    """Choose the renderer that fits where the output goes."""
    if not enabled:
        yield Renderer()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield LineRenderer(console)
    else:
        live = Live(console=console, transient=True, refresh_per_second=5)
        renderer = LiveRenderer(console, live)
        live.update(renderer)
        try:
            yield renderer
        finally:
            live.stop()
