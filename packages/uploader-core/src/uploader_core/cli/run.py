"""``uploader run`` and ``uploader plan``: the same request, done or only shown."""

from __future__ import annotations

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
                "--measure",
                is_flag=True,
                help="Measure how near each format is to base and adapter, for card and report.",
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
            click.option(
                "--checksum",
                is_flag=True,
                help="Read again what is done already, also at destinations, and mend it.",
            ),
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
        measure=params["measure"],
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
    from uploader_core.cli.render import make_console
    from uploader_core.cli.survey import show_survey
    from uploader_core.preflight import combine
    from uploader_core.session import look

    request, config = _prepare(ctx, params)
    survey = look(request, registry_of(ctx), config, jobs=params["jobs"])
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
    from uploader_core.cli.perform import perform

    request, config = _prepare(ctx, params)
    return perform(
        request,
        registry_of(ctx),
        config,
        jobs=params["jobs"],
        fail_fast=params["fail_fast"],
        checksum=params["checksum"],
        as_json=params["as_json"],
        quiet=params["quiet"],
        ask="never" if params["yes"] else "uploads",
    )
