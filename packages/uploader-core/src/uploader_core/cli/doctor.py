"""``uploader doctor``: a report on this machine and what is installed, with a fix per line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uploader_core.doctor.destination_lines import destination_lines
from uploader_core.doctor.examine import Part, examine
from uploader_core.home import from_home
from uploader_core.user_config import files
from uploader_core.user_config.disabled import make_registry

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = {"ok": "green", "warn": "yellow", "fail": "red"}
FAILED = 8


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=".",
    metavar="DIR",
    help="Where a release would be written (default: here).",
)
@click.option("--online", is_flag=True, help="Also ask the network: logins, and what answers.")
@click.option(
    "--to",
    metavar="DEST",
    help="Ask this destination alone, scheme:rest or @NAME, whether it would take a release.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def doctor(output: Path, online: bool, to: str | None, as_json: bool) -> int:
    """Look at this machine, at what is installed and at logins, and say what to do about faults.

    Tokens are never shown. Nothing is sent anywhere without --online or --to.
    """
    from uploader_core.cli.render import make_console

    console = make_console()
    parts = []
    registry, config = make_registry(), files.load()
    if to is None:
        examined = examine(registry, config, from_home(output).absolute(), online=online)
    else:
        lines = tuple(destination_lines(to, registry, config))
        examined = iter([Part(title="destination", lines=lines)])
    for part in examined:
        parts.append(part)
        if not as_json:
            _show(console, part)
    count = {level: sum(line.level == level for p in parts for line in p.lines) for level in _STYLE}
    if as_json:
        data = {
            "schema": "uploader.doctor/1",
            "parts": [
                {"title": p.title, "lines": [dataclasses.asdict(line) for line in p.lines]}
                for p in parts
            ],
            **count,
        }
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif count["fail"] or count["warn"]:
        console.print(f"{count['fail']} to repair, {count['warn']} to know of")
    else:
        console.print("[green]everything is fine[/]")
    return FAILED if count["fail"] else 0


def _show(console: Console, part: Part) -> None:
    """Print a title, and each line in three columns that keep their places."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(part.title, style="bold"))
    width = max((len(line.name) for line in part.lines), default=0)
    for line in part.lines:
        if not console.is_terminal:
            console.print(
                f"  {line.level:<4}  {line.name:<{width}}  {line.what}",
                markup=False,
                soft_wrap=True,
            )
            if line.fix:
                console.print(f"        fix: {line.fix}", markup=False, soft_wrap=True)
            continue
        row = Table.grid()
        row.add_column(width=8)
        row.add_column(width=min(width, 24) + 2, overflow="fold")
        row.add_column(overflow="fold")
        row.add_row(
            Text(f"  {line.level}", style=_STYLE[line.level]), Text(line.name), Text(line.what)
        )
        if line.fix:
            row.add_row("", "", Text(f"fix: {line.fix}", style="dim"))
        console.print(row)
