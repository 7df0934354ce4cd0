"""How an error looks on a terminal and as JSON."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Sequence

import click

from uploader_core.errors import UploaderError, UsageError
from uploader_core.human_text import visible


def show(error: Exception, arguments: Sequence[str]) -> int:
    """Print an error on standard error and return its exit code."""
    debug = "--debug" in arguments or bool(os.environ.get("UPLOADER_DEBUG"))
    if debug:
        for reason in getattr(error, "reasons", ()) or (error,):
            traceback.print_exception(reason)
    if not isinstance(error, UploaderError):
        error = UploaderError(
            f"unexpected {type(error).__name__}: {error}",
            owner="uploader-core",
            safe="finished steps are kept",
            next="run it again as `uploader --debug ...` and report what it prints",
        )
    if isinstance(error, UsageError) and not error.next:
        error = error.replace(next="correct what it names, and run the same command again")
    if "--json" in arguments:
        line = {
            "type": "exit_error",
            "code": error.exit_code,
            **{k: v for k, v in error.to_json().items() if k != "exit_code"},
        }
        click.echo(json.dumps(line, ensure_ascii=False), err=True)
        return error.exit_code
    click.secho("error", fg="red", bold=True, nl=False, err=True)
    click.echo(f" {visible(error.what)}", err=True)
    for label, text in (("from", error.owner), ("safe", error.safe), ("next", error.next)):
        if text:
            click.secho(f"  {label:<6}", dim=True, nl=False, err=True)
            click.echo(visible(text), err=True)
    click.secho(f"  {'id':<6}", dim=True, nl=False, err=True)
    click.echo(f"{error.error_id} (exit code {error.exit_code})", err=True)
    return error.exit_code
