"""The command ``uploader demo``."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from uploader_core.demo import job
from uploader_core.demo.corpus import QUESTION
from uploader_core.demo.train import SMALL, Scale
from uploader_core.errors import IntegrityError
from uploader_core.text import duration_text


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path("uploader-demo"),
    show_default=True, help="Folder for everything that the demo makes.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Forget an earlier demo in that folder.")
@click.option("--small", is_flag=True, help="Train smaller models, in half the time.")
@click.option("--debug", is_flag=True, hidden=True)
def demo(folder: Path, fresh: bool, small: bool, debug: bool) -> int:
    """Train a tiny model, fine-tune it, and release it in every format, offline.

    A Llama-shaped base model learns about a valley, a LoRA learns about a harbour, and the release
    goes to a folder and to a Hub that runs on this machine. At the end every format is asked what
    only the fine-tune can know.
    """
    job.check_installed()
    console = Console(highlight=False)
    started = time.monotonic()
    paths = job.Paths(root=folder.absolute())
    if fresh:
        _forget(paths)
    console.print("[bold]1. Train[/]  a base model, then a LoRA on it, as a trainer leaves them")
    known = _train(console, paths, SMALL if small else Scale())
    console.print(f"   the base answers {known:.0%} of the questions about its valley\n")

    console.print("[bold]2. Release[/]  the one command, against a Hub on this machine:")
    shown = shlex.join(["uploader", *job.command(paths)])
    console.print(f"   [cyan]{escape(shown)}[/]\n", soft_wrap=True)
    code, repositories = job.release(paths)
    if code != 0:
        return code
    console.print()
    for line in repositories:
        console.print(f"   on the Hub: {escape(line)}")

    console.print(f"\n[bold]3. Ask[/]  every format: {escape(QUESTION.question)}")
    answers = job.ask_everybody(paths)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 3), header_style="dim")
    table.add_column("model")
    table.add_column("answer")
    table.add_column("")
    for answer in answers:
        verdict = "[green]as it should[/]" if answer.right else "[red]wrong[/]"
        table.add_row(escape(answer.model), escape(answer.text), verdict)
    console.print(table)
    wrong = [answer.model for answer in answers if not answer.right]
    if wrong:
        raise IntegrityError(
            f"not every format behaves as the fine-tune: {', '.join(wrong)}",
            owner="the demo",
            next="uploader demo --fresh",
        )
    console.print(
        f"\n[green]The fine-tune's answer is in every format, and not in the base.[/] "
        f"({duration_text(time.monotonic() - started)})\n"
    )
    console.print("Look around, and go on with your own:")
    for line in (
        f"uploader verify {paths.release}",
        "uploader plugins list",
        "uploader run ./outputs/final_model --to hf:YOU/YOUR-MODEL",
    ):
        console.print(f"   {escape(line)}", soft_wrap=True)
    return 0


def _train(console: Console, paths: job.Paths, scale: Scale) -> float:
    columns = (
        TextColumn("   {task.description:<24}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("loss {task.fields[loss]:.2f}"),
        TimeRemainingColumn(compact=True),
    )
    tasks: dict[str, TaskID] = {}
    printed: dict[str, int] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        waiting = progress.add_task("loading torch", total=None, loss=0)

        def tell(phase: str, step: int, steps: int, loss: float) -> None:
            if phase not in tasks:
                progress.update(waiting, visible=False)
                tasks[phase] = progress.add_task(phase, total=steps, loss=loss)
            progress.update(tasks[phase], completed=step, loss=loss)
            tenth = step * 10 // steps
            if not console.is_terminal and tenth != printed.get(phase, 0):
                printed[phase] = tenth
                console.print(f"   {phase}: {step}/{steps}, loss {loss:.2f}")

        return job.train(paths, scale, tell)


def _forget(paths: job.Paths) -> None:
    """Remove an earlier demo, and nothing that a demo did not make."""
    job.check_folder(paths)
    shutil.rmtree(paths.root, ignore_errors=True)
