"""``uploader plugins check`` and ``uploader plugins new``."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uploader_core.errors import PluginBrokenError, UsageError
from uploader_core.user_config.disabled import make_registry

if TYPE_CHECKING:
    from uploader_core.plugins.registry import Registry
    from uploader_kit.check import Verdict


@click.command()
@click.argument("subject", metavar="[ID_OR_PATH]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write versions, what came of every rule, and the tier, as JSON.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Ed25519 key in PEM, which signs the report, or by which it shall be signed.",
)
@click.option(
    "--verify-report",
    "written",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Instead of a check: whether signature and tier of a report hold.",
)
def check(
    subject: str | None,
    as_json: bool,
    report: Path | None,
    key: Path | None,
    written: Path | None,
) -> int:
    """Run the conformance kit on a plugin: its id, the folder of its distribution, or its one file.

    A file is checked as `uploader run --plugin-file` takes it.
    """
    if written is not None:
        from uploader_kit.report import verify_report

        for sentence in verify_report(written, key):
            click.echo(sentence)
        return 0
    if subject is None:
        raise UsageError("what shall be checked is missing", next="uploader plugins check ID")
    from uploader_kit.check import check as run
    from uploader_kit.one_file import subject_of

    def tell(verdict: Verdict) -> None:
        if as_json:
            return
        colour = {"passed": "green", "failed": "red"}.get(verdict.outcome, "yellow")
        click.secho(f"{verdict.outcome:<8}", fg=colour, nl=False)
        rule = f"{verdict.rule}  " if verdict.rule else ""
        click.echo(f"  {rule}{verdict.subject}: {verdict.check} ({verdict.seconds:.1f} s)")
        if verdict.why:
            click.echo(f"          {verdict.why}")

    with subject_of(subject, make_registry) as (what, registry):
        verdicts = run(what, registry, tell)
        tier = None if report is None else _report(verdicts, registry, report, key)
    failed = [verdict for verdict in verdicts if verdict.outcome == "failed"]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(verdict) for verdict in verdicts], indent=2))
    else:
        click.echo(_summary(verdicts))
        if tier is not None:
            click.echo(f"{report}: {tier}")
    if failed:
        raise PluginBrokenError(
            f"{subject} fails {len(failed)} check{'s' * (len(failed) > 1)} of the conformance kit",
            next="uploader plugins check says of each what to do",
        )
    return 0


def _report(verdicts: Sequence[Verdict], registry: Registry, path: Path, key: Path | None) -> str:
    """Write the report and say what it comes to, and what the next tier lacks."""
    from uploader_kit.report import make_report, write_report
    from uploader_kit.tiers import Outcome

    outcomes = [Outcome(**dataclasses.asdict(verdict)) for verdict in verdicts]
    written = write_report(make_report(outcomes, registry), path, key)
    return f"tier {written.tier}" + (f", next: {written.lacking[0]}" if written.lacking else "")


def _summary(verdicts: Sequence[Verdict]) -> str:
    """Say how many checks were tried, and what was not."""
    from uploader_kit.announcing import NOT_TRIED

    count = Counter(verdict.outcome for verdict in verdicts)
    missing = sum(verdict.why.startswith(NOT_TRIED) for verdict in verdicts)
    tried = len(verdicts) - count["skipped"]
    said = [f"{tried - count['failed']} of {tried} checks are fine"]
    if count["announced"]:
        said.append(f"{count['announced']} of them will fail in a later version")
    if count["skipped"] > missing:
        said.append(f"{count['skipped'] - missing} not about this plugin")
    if missing:
        said.append(f"{missing} could not be tried here")
    return ", ".join(said)


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a distribution of a plugin of one file; its name is the file's.",
)
@click.option(
    "--consumes",
    default="merged-16bit",
    show_default=True,
    metavar="KIND",
    help="Kind that the format is made from.",
)
@click.option("--produces", metavar="KIND", help="Kind that it makes (default: NAME).")
@click.option("--destination", "scheme", metavar="SCHEME", help="Make a destination instead.")
@click.option("--document", is_flag=True, help="Make a section of the model card instead.")
@click.option(
    "--name",
    "distribution",
    metavar="DISTRIBUTION",
    help="Name of the distribution and its folder (default: uploader-NAME).",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    metavar="DIR",
    help="Where the new folder goes (default: here).",
)
@click.pass_context
def new(
    ctx: click.Context,
    name: str | None,
    file: Path | None,
    consumes: str,
    produces: str | None,
    scheme: str | None,
    document: bool,
    distribution: str | None,
    into: Path,
) -> int:
    """Write a complete distribution for a new plugin, uploader-NAME."""
    from uploader_kit.one_file import write_from
    from uploader_kit.scaffold import Blueprint, write_plugin

    if file is not None:
        given = ctx.get_parameter_source("consumes") is click.core.ParameterSource.COMMANDLINE
        if name or produces or scheme or document or distribution or given:
            raise UsageError(
                "--from takes name, kinds and scheme from the file",
                safe="nothing was written",
                next=f"uploader plugins new --from {file}",
            )
        folder = write_from(file, into, make_registry)
    elif name is None:
        raise UsageError("the new plugin has no name", next="uploader plugins new NAME")
    else:
        blueprint = Blueprint(
            id=name,
            consumes=consumes,
            produces=produces,
            scheme=scheme,
            document=document,
            name=distribution,
        )
        folder = write_plugin(blueprint, into)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        click.echo(f"  {path.relative_to(folder.parent)}")
    click.echo(f'next: cd {folder} && pip install -e ".[test]" && pytest')
    return 0
