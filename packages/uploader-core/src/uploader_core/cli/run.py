"""``uploader run`` and ``uploader plan``: the same request, done or only shown."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from uploader_core.cli.default_source import Choice, choose_source
from uploader_core.cli.options import (
    SHOWING_OPTIONS,
    PluginOptionsCommand,
    plugin_choice_options,
    registry_of,
    take_plugin_options,
    with_options,
)
from uploader_core.errors import CancelledError, UsageError
from uploader_core.planning.request import Request
from uploader_core.user_config import files
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.disabled import split

_OPTIONS = (
    click.argument("source", metavar="[SOURCE]", required=False),
    click.option(
        "--plugins",
        "names",
        multiple=True,
        metavar="NAMES",
        help="Formats: plugin ids or artifact kinds, separated by commas "
        "(default: every installed format that fits the source and is a default: its "
        "distribution has an entry in the group uploader_core.defaults).",
    ),
    click.option(
        "--to",
        "destinations",
        multiple=True,
        metavar="DEST",
        help="Where to send the release, scheme:rest, or @NAME of [targets.NAME] in "
        "uploader.toml; may be repeated (default: nowhere, the release folder is the "
        "result).",
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
        "--leave-behind",
        multiple=True,
        metavar="FILES",
        help="Files beside the model that look like a part of it and that the release is "
        "right without (value_head.safetensors), separated by commas.",
    ),
    click.option(
        "--measure",
        is_flag=True,
        help="Measure how near each format is to base and adapter, for card and report.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Workers side by side, for heavy steps and for what of them can be split "
        "(default: 1; with --executor, as many jobs as it is set up for).",
    ),
    click.option(
        "--executor",
        metavar="NAME",
        help="Run the steps as jobs of an engine: local, or slurm, dask and others that "
        "plugins bring (default: workers of this run).",
    ),
    *plugin_choice_options("run"),
    *SHOWING_OPTIONS,
    click.option("--fail-fast", is_flag=True, help="Stop at the first failure."),
    click.option(
        "--checksum",
        is_flag=True,
        help="Read again what is done already, also at destinations, and mend it.",
    ),
    click.option(
        "--redo",
        multiple=True,
        metavar="STEP",
        help="Run a step again though it is done, and what depends on it: a step's id, a "
        "plugin's id, a kind, or a destination; may be repeated.",
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)


def _request(params: dict[str, Any], source: str) -> Request:
    return Request(
        source=source,
        plugins=tuple(split(params["names"])),
        destinations=tuple(params["destinations"]),
        output=params["output"],
        name=params["name"],
        base=params["base"],
        adapters=tuple(params["adapters"]),
        measure=params["measure"],
        leave_behind=tuple(split(params["leave_behind"])),
        redo=tuple(split(params["redo"])),
        command=" ".join(["uploader", *sys.argv[1:]]),
    )


def _prepare(ctx: click.Context, params: dict[str, Any]) -> tuple[Request, Config, Choice | None]:
    options = take_plugin_options(params)
    config = files.load(config_file=params["config_file"], options=options)
    if params["source"] is not None:
        return _request(params, params["source"]), config, None
    if params["adapters"]:
        raise UsageError(
            "--adapter is merged after SOURCE, and there is none",
            next="name the first adapter, or the base model, before it",
        )
    choice = choose_source(Path.cwd(), config)
    _say(choice, params)
    request = _request(params, choice.source)
    # What repeats this run elsewhere, and tomorrow.
    command = request.command.replace(
        f" {ctx.info_name}", f" {ctx.info_name} {shlex.quote(choice.source)}", 1
    )
    return replace(request, command=command), config, choice


def _say(choice: Choice, params: dict[str, Any]) -> None:
    """Say what was chosen, and ask a person on a terminal whether it is meant.

    Raises:
        CancelledError: It is not.
    """
    aside = params["as_json"] or params["quiet"]
    click.echo(f"source  {choice.source}\n        {choice.because}", err=aside)
    somebody_is_there = sys.stdin.isatty() and sys.stdout.isatty()
    if params["yes"] or params["as_json"] or not somebody_is_there:
        return
    if not click.confirm("Take it?", default=True, err=aside):
        raise CancelledError(
            "not started", safe="nothing was changed", next="uploader run PATH_TO/final_model"
        )


@click.command(cls=PluginOptionsCommand)
@with_options(_OPTIONS)
@click.pass_context
def plan(ctx: click.Context, /, **params: Any) -> int:
    """Show what `run` would do with SOURCE: steps, sizes, checks. Nothing is written.

    Without SOURCE it is chosen as by `run`.
    """
    from uploader_core.cli.json_output import plan_json
    from uploader_core.cli.render import make_console
    from uploader_core.cli.survey import show_survey
    from uploader_core.errors import refuse_if
    from uploader_core.running.session import look

    request, config, choice = _prepare(ctx, params)
    survey = look(request, registry_of(ctx), config, jobs=params["jobs"] or 1)
    if params["as_json"]:
        data = plan_json(survey, None if choice is None else choice.because)
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        show_survey(make_console(), survey)
    refuse_if(survey.errors)
    return 0


@click.command(cls=PluginOptionsCommand)
@with_options(_OPTIONS)
@click.pass_context
def run(ctx: click.Context, /, **params: Any) -> int:
    """Make a release of SOURCE, the folder that a trainer saved, and send it where --to says.

    Without SOURCE it is the current folder if that can be released, else `source` of uploader.toml,
    else the newest training run below the current folder; it is said, and asked on a terminal.

    The same command again goes on where the last one stopped and repeats nothing that is done.
    """
    from uploader_core.cli.perform import perform
    from uploader_core.means import ALONE, Means

    request, config, choice = _prepare(ctx, params)
    means = ALONE
    if params["executor"] is not None:
        from uploader_core.jobs.crew import make_crew

        means = Means(crew=make_crew(params["executor"], registry_of(ctx), config, params["jobs"]))
    return perform(
        request,
        registry_of(ctx),
        config,
        because=None if choice is None else choice.because,
        jobs=params["jobs"] or 1,
        means=means,
        fail_fast=params["fail_fast"],
        checksum=params["checksum"],
        as_json=params["as_json"],
        quiet=params["quiet"],
        ask="never" if params["yes"] else "uploads",
    )
