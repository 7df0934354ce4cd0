"""A request done in front of a person: its plan, one question, progress, and the end."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Literal

import click

from uploader_core import page
from uploader_core.cli.ending import show_report
from uploader_core.cli.json_output import report_json
from uploader_core.cli.live import make_renderer
from uploader_core.cli.render import make_console
from uploader_core.cli.survey import show_survey
from uploader_core.errors import CancelledError
from uploader_core.means import ALONE, Means
from uploader_core.planning.plan import Survey
from uploader_core.planning.request import Request
from uploader_core.plugins.registry import Registry
from uploader_core.running.events import EventStream
from uploader_core.running.session import run as run_request
from uploader_core.user_config.configuration import Config


def perform(
    request: Request,
    registry: Registry,
    config: Config,
    *,
    jobs: int = 1,
    means: Means = ALONE,
    fail_fast: bool = False,
    checksum: bool = False,
    as_json: bool = False,
    quiet: bool = False,
    ask: Literal["always", "uploads", "never"] = "uploads",
    because: str | None = None,
) -> int:
    """Run a request and return 0.

    Args:
        request: What the user wants.
        registry: Installed plugins.
        config: Settings.
        jobs: Workers side by side.
        means: What it shares with other runs, and the executor, which says how many jobs.
        fail_fast: Start nothing new after a failure.
        checksum: Read everything that is there already instead of believing sizes and times.
        as_json: Print a report for programs, and nothing else on standard output.
        quiet: Show errors and the result only.
        ask: Whether a person on a terminal is asked once more, after the plan.
        because: Why this source, where the user named none; for programs.

    Raises:
        UploaderError: Refused, stopped, or not everything is done and verified.
    """
    console = make_console(stderr=as_json)
    loud = not quiet and not as_json

    # What an inline step of a plugin prints must not end up in the JSON.
    stdout = contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout)
    with stdout, make_renderer(console, enabled=loud) as renderer:

        def before_start(survey: Survey) -> None:
            todo = [s for s in survey.plan.steps if s.id not in survey.kept]
            if loud and todo:
                show_survey(console, survey)
            leaves = any(s.destination and not s.destination.startswith("dir:") for s in todo)
            somebody_is_there = sys.stdin.isatty() and console.is_terminal
            asks = ask == "always" or (ask == "uploads" and leaves)
            if asks and somebody_is_there and not click.confirm("Go ahead?", default=True):
                raise CancelledError("not started", safe="nothing was changed")
            renderer.begin(survey)

        report = run_request(
            request,
            registry,
            config,
            EventStream(renderer),
            jobs=jobs,
            means=means,
            fail_fast=fail_fast,
            checksum=checksum,
            confirm=before_start,
            observers=(page,),
        )
    if as_json:
        click.echo(json.dumps(report_json(report, because), indent=2, ensure_ascii=False))
    else:
        show_report(console, report, quiet=quiet)
    error = report.error()
    if error is not None:
        raise error
    return 0
