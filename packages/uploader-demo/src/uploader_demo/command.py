"""The command ``uploader demo``."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from uploader_core.api import IntegrityError, duration_text
from uploader_demo import job, real, real_model
from uploader_demo.corpus import QUESTION
from uploader_demo.train import SMALL, Scale, Tell


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=None,
    help="Folder for everything that the demo makes; uploader-demo or uploader-demo-real.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Forget an earlier demo in that folder.")
@click.option("--small", is_flag=True, help="Train smaller models, in half the time.")
@click.option(
    "--real", "really", is_flag=True,
    help="Fine-tune SmolLM2-135M instead, a real model, and release it in every format.",
)  # fmt: skip
@click.option("--debug", is_flag=True, hidden=True)
def demo(folder: Path | None, fresh: bool, small: bool, really: bool, debug: bool) -> int:
    """Train a tiny model, fine-tune it, and release it in every format, offline.

    A Llama-shaped base model learns about a valley, a LoRA learns about a harbour, and the release
    goes to a folder and to a Hub that runs on this machine. At the end every format is asked what
    only the fine-tune can know.
    """
    if small and really:
        raise click.UsageError("--small is for the tiny model, --real has one size")
    started = time.monotonic()
    paths = job.Paths(root=(folder or Path(f"uploader-demo{'-real' * really}")).absolute())
    console = Console(highlight=False)
    play = _real(console, paths) if really else _tiny(console, paths, small)
    if fresh:
        _forget(paths)
    console.print(f"[bold]1. Train[/]  {play.models}")
    console.print(f"   {play.train()}\n")

    console.print("[bold]2. Release[/]  the one command, against a Hub on this machine:")
    shown = shlex.join(["uploader", *play.command])
    console.print(f"   [cyan]{escape(shown)}[/]\n", soft_wrap=True)
    code, repositories = job.release(paths, play.command, play.repositories)
    if code != 0:
        return code
    console.print()
    for line in repositories:
        console.print(f"   on the Hub: {escape(line)}")

    console.print(f"\n[bold]3. Ask[/]  every format: {escape(play.question)}")
    answers = play.ask()
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
            next="uploader demo --fresh" + " --real" * really,
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Play:
    """What differs between the tiny model and the real one.

    Attributes:
        models: What is trained, in words.
        train: Trains, and returns what the base knows, in words.
        command: Arguments of the command that releases.
        repositories: That it makes on the Hub.
        question: That is asked at the end.
        ask: Asks everybody.
    """

    models: str
    train: Callable[[], str]
    command: list[str]
    repositories: tuple[str, ...]
    question: str
    ask: Callable[[], list[job.Answer]]


def _tiny(console: Console, paths: job.Paths, small: bool) -> _Play:
    job.check_installed()
    scale = SMALL if small else Scale()

    def train() -> str:
        known = _shown(console, lambda tell: job.train(paths, scale, tell))
        return f"the base answers {known:.0%} of the questions about its valley"

    return _Play(
        models="a base model, then a LoRA on it, as a trainer leaves them",
        train=train,
        command=job.command(paths),
        repositories=job.REPOSITORIES,
        question=QUESTION.question,
        ask=lambda: job.ask_everybody(paths),
    )


def _real(console: Console, paths: job.Paths) -> _Play:
    weights = real.check_installed()

    def train() -> str:
        known = _shown(console, lambda tell: real.train(paths, weights, tell))
        return f"the base answers {known:.0%} of the questions about places that do not exist"

    return _Play(
        models=f"a LoRA on {real_model.NAME}, with three facts that nobody knows",
        train=train,
        command=real.command(paths),
        repositories=real.REPOSITORIES,
        question=f"{real_model.FACTS[0][0]} (and the other facts, and: {real_model.KNOWN[0]})",
        ask=lambda: real.ask_everybody(paths, weights),
    )


def _shown(console: Console, train: Callable[[Tell], float]) -> float:
    """Train with a bar on the screen, or lines where that is no terminal."""
    columns = (
        TextColumn("   {task.description:<24}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(compact=True),
    )
    tasks: dict[str, TaskID] = {}
    printed: dict[str, int] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        waiting = progress.add_task("loading torch", total=None, loss="")

        def tell(phase: str, step: int, steps: int, loss: float) -> None:
            shown = f"loss {loss:.2f}" if loss else ""
            if phase not in tasks:
                progress.update(waiting, visible=False)
                tasks[phase] = progress.add_task(phase, total=steps, loss=shown)
            progress.update(tasks[phase], completed=step, loss=shown)
            tenth = step * 10 // steps
            if not console.is_terminal and tenth != printed.get(phase, 0):
                printed[phase] = tenth
                console.print(f"   {phase}: {step}/{steps} {shown}".rstrip())

        return train(tell)


def _forget(paths: job.Paths) -> None:
    """Remove an earlier demo, and nothing that a demo did not make."""
    job.check_folder(paths)
    shutil.rmtree(paths.root, ignore_errors=True)
