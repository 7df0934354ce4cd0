"""``uploader run`` and ``uploader plan``: the same request, done or only shown."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from uploader_core import config as configuration
from uploader_core.cli.options import (
    PluginOptionsCommand,
    registry_of,
    take_plugin_options,
)
from uploader_core.errors import CancelledError
from uploader_core.planner import Request
from uploader_core.selection import split


def _request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in reversed(
        [
            click.argument("source", metavar="SOURCE"),
            click.option(
                "--plugins",
                "names",
                multiple=True,
                metavar="NAMES",
                help="Formats: plugin ids or artifact kinds, separated by commas "
                "(default: every installed format that fits the source).",
            ),
            click.option(
                "--to",
                "destinations",
                multiple=True,
                metavar="DEST",
                help="Where to send the release, scheme:rest; may be repeated "
                "(default: nowhere, the release folder is the result).",
            ),
            click.option(
                "--output",
                type=click.Path(path_type=Path),
                metavar="DIR",
                help="The release folder itself (default: beside the source).",
            ),
            click.option("--name", metavar="NAME", help="Name of the released model."),
            click.option(
                "--base",
                metavar="PATH_OR_ID",
                help="Base model, when the adapter names none or another place.",
            ),
            click.option(
                "--adapter",
                "adapters",
                multiple=True,
                metavar="PATH_OR_ID[=WEIGHT]",
                help="One more adapter, merged after SOURCE (which may be the base model itself); "
                "may be repeated.",
            ),
            click.option(
                "--jobs",
                type=click.IntRange(1),
                default=1,
                show_default=True,
                help="Heavy steps side by side.",
            ),
            click.option("--without", multiple=True, metavar="NAMES", help="Plugins to leave out."),
            click.option(
                "--config",
                "config_file",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Settings file (default: ./uploader.toml).",
            ),
            click.option("-y", "--yes", is_flag=True, help="Do not ask."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output."),
            click.option("--quiet", is_flag=True, help="Errors and the result only."),
            click.option("--fail-fast", is_flag=True, help="Stop at the first failure."),
            click.option("--debug", is_flag=True, help="Show tracebacks."),
        ]
    ):
        command = decorate(command)
    return command


def _request(params: dict[str, Any]) -> Request:
    return Request(
        source=params["source"],
        plugins=tuple(split(params["names"])),
        destinations=tuple(params["destinations"]),
        output=params["output"],
        name=params["name"],
        base=params["base"],
        adapters=tuple(params["adapters"]),
        command=" ".join(["uploader", *sys.argv[1:]]),
    )


def _prepare(ctx: click.Context, params: dict[str, Any]) -> tuple[Request, configuration.Config]:
    options = take_plugin_options(params)
    config = configuration.load(config_file=params["config_file"], options=options)
    return _request(params), config


@click.command(cls=PluginOptionsCommand)
@_request_options
@click.pass_context
def plan(ctx: click.Context, /, **params: Any) -> int:
    """Show what `run` would do with SOURCE: steps, sizes, checks. Nothing is written."""
    from uploader_core.cli.render import make_console, show_survey
    from uploader_core.preflight import combine
    from uploader_core.session import look

    request, config = _prepare(ctx, params)
    survey = look(request, registry_of(ctx), config)
    if params["as_json"]:
        data = survey.plan.to_json()
        data["kept"] = [*sorted(survey.kept)]
        data["errors"] = [{**error.to_json()} for error in survey.errors]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        show_survey(make_console(), survey)
    if survey.errors:
        raise combine(list(survey.errors))
    return 0


@click.command(cls=PluginOptionsCommand)
@_request_options
@click.pass_context
def run(ctx: click.Context, /, **params: Any) -> int:
    """Make a release of SOURCE, the folder that a trainer saved, and send it where --to says.

    The same command again goes on where the last one stopped and repeats nothing that is done.
    """
    from uploader_core.cli.render import (
        make_console,
        make_renderer,
        show_report,
        show_survey,
    )
    from uploader_core.events import EventStream
    from uploader_core.session import Survey
    from uploader_core.session import run as run_request

    request, config = _prepare(ctx, params)
    console = make_console(stderr=params["as_json"])
    loud = not params["quiet"] and not params["as_json"]

    def before_start(survey: Survey) -> None:
        todo = [s for s in survey.plan.steps if s.id not in survey.kept]
        if loud and todo:
            show_survey(console, survey)
        asks = any(s.destination and not s.destination.startswith("dir:") for s in todo)
        somebody_is_there = sys.stdin.isatty() and console.is_terminal
        if not asks or params["yes"] or not somebody_is_there:
            return
        if not click.confirm("Go ahead?", default=True):
            raise CancelledError("not started", safe="nothing was changed")

    # What an inline step of a plugin prints must not end up in the JSON.
    stdout = contextlib.redirect_stdout(sys.stderr if params["as_json"] else sys.stdout)
    with stdout, make_renderer(console, enabled=loud) as renderer:
        report = run_request(
            request,
            registry_of(ctx),
            config,
            EventStream(renderer),
            jobs=params["jobs"],
            fail_fast=params["fail_fast"],
            confirm=before_start,
        )
    if params["as_json"]:
        click.echo(json.dumps(_report_json(report), indent=2, ensure_ascii=False))
    else:
        show_report(console, report, quiet=params["quiet"])
    error = report.error()
    if error is not None:
        raise error
    return 0


def _report_json(report: Any) -> dict[str, Any]:
    return {
        "schema": "uploader.report/1",
        "name": report.plan.release.name,
        "output": str(report.plan.output),
        "manifest": None if report.manifest is None else str(report.manifest),
        "seconds": round(report.seconds, 3),
        "steps": [
            {
                "id": o.step,
                "status": o.status,
                "error": None if o.error is None else o.error.to_json(),
                "because": o.because,
                "seconds": None if o.record is None else round(o.record.seconds, 3),
                "receipt": None
                if o.record is None or o.record.receipt is None
                else dict(o.record.receipt),
            }
            for o in report.outcomes.values()
        ],
    }
