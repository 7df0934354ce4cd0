"""``uploader reproduce``: make a release once more and say how near it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader_core import api

if TYPE_CHECKING:
    from uploader_provenance.reproduce.published import Published


@click.command()
@click.argument("reference", metavar="REPO_OR_DIR")
@click.option(
    "--from", "sources", multiple=True, metavar="SOURCE",
    help="The adapter or model that it was made from, where the manifest cannot say it; once for "
    "each adapter of a stack.",
)  # fmt: skip
@click.option("--base", metavar="PATH_OR_ID", help="The base model, where the manifest cannot say.")
@click.option(
    "--setting", "settings", multiple=True, metavar="PLUGIN.FIELD=FILE",
    help="A file that the release was made with and that only its maker has; may be repeated.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Where it is made once more; NAME-reproduced here. The same command goes on there.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True,
              help="Workers side by side.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--debug", is_flag=True, hidden=True)
def reproduce(
    reference: str,
    sources: tuple[str, ...],
    base: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    jobs: int,
    as_json: bool,
    debug: bool,
) -> int:
    """Make a release once more from what its manifest says, and compare every format.

    REPO_OR_DIR is a release folder, or a place such as hf:user/model. Base and adapter are fetched
    at the recorded commits, the settings are the recorded ones. A format is bit-equal, tensor-equal
    (the same tensors in other files), or not, and then it is said what differs. Nothing is sent
    anywhere, and nothing is changed at the original. Leaves with 0 when all is bit-equal, else
    with 10.
    """
    from uploader_provenance.reproduce.compare import compare, other_documents
    from uploader_provenance.reproduce.errors import NotReproducedError
    from uploader_provenance.reproduce.rebuild import open_release, rebuild

    registry = api.make_registry()
    release = open_release(reference, registry)
    place = _place_for(release, output)
    made = rebuild(
        release,
        registry,
        given=sources,
        base=base,
        settings=_parsed(settings),
        output=place.resolve(),
        jobs=jobs,
        on_event=(lambda _: None) if as_json else _tell,
    )
    verdicts = compare(release, made.release)
    result: dict[str, Any] = {
        "schema": "uploader.reproduction/1",
        "release": release.reference,
        "release_id": release.release_id,
        "output": str(place),
        "artifacts": [verdict.to_json() for verdict in verdicts],
        "documents": other_documents(release, made.release),
        "settings_lost": [*made.lost],
        "notes": [*made.notes],
        "failed": None if made.error is None else made.error.to_json(),
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        _show(result)
    others = [verdict.kind for verdict in verdicts if verdict.grade != "bit-equal"]
    if others or not verdicts:
        raise NotReproducedError(
            f"{len(others)} of {len(verdicts)} formats are not bit for bit the same: "
            + ", ".join(others)
            if verdicts
            else "the release has no format",
            owner=release.reference,
            safe=f"what was made is in {place}; nothing was changed at the original",
            next="what differs is said above; --json has it for programs",
        )
    return 0


def _place_for(release: Published, output: Path | None) -> Path:
    """Return where the release is made once more.

    Raises:
        UsageError: One of the two is in the other.
    """
    # Somebody else may have written the name.
    name = re.sub(r"[^\w.-]+", "-", release.name).strip("-.") or "release"
    place = output or Path(f"{name}-reproduced")
    folder, own = place.resolve(), release.folder
    if folder.is_relative_to(own) or own.is_relative_to(folder):
        raise api.UsageError(
            f"of {place} and {own}, the release that is compared with, one is inside the other",
            owner="option --output",
            safe="nothing was written",
            next="--output DIR with a folder elsewhere",
        )
    return place


def _parsed(settings: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in settings:
        option, equals, value = text.partition("=")
        if not equals or "." not in option:
            raise api.UsageError(
                f"--setting {text} is not PLUGIN.FIELD=FILE",
                next="--setting compressed.calibration=./texts.jsonl, for instance",
            )
        # Steps run in folders of their own.
        found[option] = str(api.from_home(value).resolve())
    return found


def _tell(event: api.Event) -> None:
    if event.type in ("step_done", "step_failed"):
        click.echo(f"  {event.type.removeprefix('step_')}  {event.step}", err=True)


def _show(result: Mapping[str, Any]) -> None:
    _say(f"{result['release']}  {result['release_id'][:16]}")
    for verdict in result["artifacts"]:
        colour = {"bit-equal": "green", "tensor-equal": "yellow"}.get(verdict["grade"], "red")
        click.secho(f"  {verdict['grade']:<12}", fg=colour, nl=False)
        _say(f"  {verdict['kind']}  ({api.count_text(verdict['files'], 'file')})")
        if verdict["differs"]:
            _say(f"      files    {', '.join(verdict['differs'])}")
        for text in verdict["tensors"]:
            _say(f"      tensors  {text}")
        for text in verdict["why"]:
            _say(f"      why      {text}")
    for title, name in (("lost", "settings_lost"), ("note", "notes")):
        for text in result[name]:
            _say(f"  {title}  {text}")
    if result["failed"]:
        _say(f"  failed  {result['failed']['what']}")
    if result["documents"]:
        _say(
            "  documents that say where and with what, and so came out otherwise: "
            + ", ".join(result["documents"])
        )


def _say(text: str) -> None:
    """Print what somebody else may have written."""
    click.echo(api.visible(text))
