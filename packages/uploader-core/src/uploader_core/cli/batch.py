"""``uploader batch``: many releases in one go."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader_core.cli.options import (
    SHOWING_OPTIONS,
    PluginOptionsCommand,
    plugin_choice_options,
    registry_of,
    take_plugin_options,
    with_options,
)
from uploader_core.errors import CancelledError, UsageError
from uploader_core.user_config import files
from uploader_core.user_config.disabled import split

if TYPE_CHECKING:
    from uploader_core.batch.wanted import Wanted
    from uploader_core.plugins.registry import Registry

_OPTIONS = (
    click.argument("runs", metavar="RUNS", type=click.Path(path_type=Path)),
    click.option(
        "--plugins",
        "names",
        multiple=True,
        metavar="NAMES",
        help="Formats of the runs that name none themselves, separated by commas.",
    ),
    click.option(
        "--to",
        "destinations",
        multiple=True,
        metavar="DEST",
        help="Where to send each release, scheme:rest or @NAME, {name} for the run's name; may "
        "be repeated.",
    ),
    click.option(
        "--output", metavar="DIR", help="The release folder of each run, {name} for its name."
    ),
    click.option("--base", metavar="PATH_OR_ID", help="Base model of the runs that name none."),
    click.option(
        "--measure", is_flag=True, help="Measure how near each format is to base and adapter."
    ),
    click.option(
        "--at-once",
        type=click.IntRange(1),
        default=None,
        help="Runs side by side (default: one for each processor, four at most, if memory "
        "suffices).",
    ),
    click.option(
        "--executor",
        metavar="NAME",
        help="Run the steps as jobs of an engine: local, or slurm, dask and others that plugins "
        "bring (default: workers of this batch).",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="With --executor: jobs of a run side by side (default: as it is set up for).",
    ),
    click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing."),
    click.option(
        "--page",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Page about all runs (default: next to RUNS, its name with -batch.html).",
    ),
    *plugin_choice_options("batch"),
    *SHOWING_OPTIONS,
    click.option("--fail-fast", is_flag=True, help="Start no run after one that failed."),
    click.option("--checksum", is_flag=True, help="Read again what is done already, and mend it."),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)


@click.command(cls=PluginOptionsCommand)
@with_options(_OPTIONS)
@click.pass_context
def batch(ctx: click.Context, /, **params: Any) -> int:
    """Make a release of each run that RUNS names: a TOML file, or a folder of fine-tunes.

    Each is what `uploader run` would make of it alone. Base models are read once, and runs go on
    when another one fails. The same command again repeats nothing that is done.
    """
    from uploader_core.batch.drive import Shared, drive
    from uploader_core.batch.outlook import look_at_all
    from uploader_core.batch.summary import outlook_json, report_json, write_page
    from uploader_core.cli.batch_view import make_view, show_outlook, show_report
    from uploader_core.cli.render import make_console
    from uploader_core.jobs.crew import Crew, find_executor, make_crew
    from uploader_core.user_config.configuration import Config

    settings = take_plugin_options(params)
    registry, path = registry_of(ctx), params["runs"]
    config = files.load(config_file=params["config_file"])
    crew = None
    if params["executor"] is not None:
        find_executor(params["executor"], registry)

        def crew(own: Config) -> Crew:
            return make_crew(params["executor"], registry, own, params["jobs"])

    wanted, left_out = _find(path, registry, _values(params), settings)
    as_json, loud = params["as_json"], not params["quiet"] and not params["as_json"]
    console = make_console(stderr=as_json)
    page = params["page"] or path.absolute().with_name(f"{path.absolute().stem}-batch.html")
    # What an inline step of a plugin prints must not end up in the JSON.
    stdout = contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout)
    with contextlib.closing(Shared(config.environment)) as shared, stdout:
        config = replace(config, environment=shared.environment)
        view = make_view(console, enabled=loud)
        with view:
            outlook = look_at_all(
                wanted,
                registry,
                config,
                shared.means,
                at_once=params["at_once"] or min(4, os.cpu_count() or 1),
                left_out=left_out,
                tick=view.planning,
            )
        if loud:
            show_outlook(console, outlook)
        if not params["dry_run"]:
            _ask(params, outlook.leaves, console.is_terminal)
            with view:
                view.begin(outlook)
                report = drive(
                    outlook,
                    registry,
                    shared.means,
                    view,
                    tick=view.tick,
                    crew=crew,
                    checksum=params["checksum"],
                    fail_fast=params["fail_fast"],
                )
            write_page(report, page)
    if params["dry_run"]:
        data, error = outlook_json(outlook), outlook.error()
    else:
        data, error = report_json(report, page), report.error()
        if not as_json:
            show_report(console, report, page, quiet=params["quiet"])
    if as_json:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    if error is not None:
        raise error
    return 0


def _find(
    path: Path,
    registry: Registry,
    values: Mapping[str, object],
    settings: Mapping[str, Mapping[str, object]],
) -> tuple[tuple[Wanted, ...], dict[str, str]]:
    """Return the runs that RUNS names, and what else a folder holds with the reasons.

    Raises:
        UsageError: A folder has none.
    """
    from uploader_core.batch.folder import find_wanted
    from uploader_core.batch.runs_file import read_runs

    if not path.is_dir():
        return read_runs(path, registry, values, settings), {}
    wanted, left_out = find_wanted(path, values, settings)
    if not wanted:
        raise UsageError(
            f"{path} has no subfolder that can be released",
            owner="; ".join(f"{name}: {why}" for name, why in left_out.items()) or None,
            next="name the folder above the fine-tunes, or a file with [[run]] tables",
        )
    return wanted, left_out


def _values(params: dict[str, Any]) -> dict[str, object]:
    """Return what the command line says, by the keys of a file of runs."""
    given = {
        "plugins": split(params["names"]),
        "to": [*params["destinations"]],
        "output": params["output"],
        "base": params["base"],
        "measure": params["measure"],
    }
    return {key: value for key, value in given.items() if value}


def _ask(params: dict[str, Any], leaves: int, terminal: bool) -> None:
    """Ask a person on a terminal before anything leaves the machine.

    Raises:
        CancelledError: It shall not.
    """
    if params["yes"] or params["as_json"] or not leaves or not (terminal and sys.stdin.isatty()):
        return
    if not click.confirm(f"{leaves} runs leave this machine. Go ahead?", default=True):
        raise CancelledError("not started", safe="nothing was changed")
