"""The command ``uploader ci init``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from uploader_core.api import RefusedError, UsageError
from uploader_provenance.ci import github, gitlab
from uploader_provenance.ci.pins import Pins, pins
from uploader_provenance.ci.release import Wanted

_REQUIREMENTS = "uploader-requirements.txt"


@click.group()
def ci() -> None:
    """Releases by a CI that holds no secret."""


@ci.command()
@click.argument("source", metavar="[SOURCE]", required=False)
@click.option("--to", "destinations", multiple=True, metavar="DEST", help="Where it is published.")
@click.option("--plugins", multiple=True, metavar="NAMES", help="Formats, separated by commas.")
@click.option("--base", metavar="PATH_OR_ID", help="As with `uploader run`.")
@click.option("--name", metavar="NAME", help="Name of the released model.")
@click.option(
    "--max-kl", multiple=True, metavar="[KIND=]VALUE",
    help="Publish nothing whose KL divergence is more.",
)  # fmt: skip
@click.option(
    "--max-perplexity-rise", multiple=True, metavar="[KIND=]VALUE",
    help="Publish nothing whose perplexity rose by more (2%).",
)  # fmt: skip
@click.option(
    "--option", "options", multiple=True, metavar="WORD",
    help="One more word for `uploader run`; may be repeated (--option=--gguf-quants=Q8_0).",
)  # fmt: skip
@click.option("--sign/--no-sign", default=True, help="Sign with the identity of the job.")
@click.option("--tags", default="v*", show_default=True, help="Tags that make a release.")
@click.option(
    "--provider", type=click.Choice(["github", "gitlab"]), default="github", show_default=True,
    help="Which CI.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--debug", is_flag=True, hidden=True)
def init(
    source: str | None,
    destinations: tuple[str, ...],
    plugins: tuple[str, ...],
    base: str | None,
    name: str | None,
    max_kl: tuple[str, ...],
    max_perplexity_rise: tuple[str, ...],
    options: tuple[str, ...],
    sign: bool,
    tags: str,
    provider: str,
    force: bool,
    debug: bool,
) -> int:
    """Write a pipeline that releases SOURCE on a tag, without a stored secret.

    It is written into the working folder, which should be the root of the repository, with a list
    of the versions that are installed here. SOURCE is a folder in the repository, or a name on the
    Hub. What is missing is asked for on a terminal.
    """
    source = source or _ask("SOURCE", "Which model (a folder, or user/model)")
    destinations = destinations or (_ask("--to", "Where to (hf:user/model)"),)
    kinds = tuple(part.strip() for word in plugins for part in word.split(",") if part.strip())
    limits = [word for value in max_kl for word in ("--max-kl", value)]
    limits += [word for value in max_perplexity_rise for word in ("--max-perplexity-rise", value)]
    wanted = Wanted(
        source=source,
        destinations=destinations,
        plugins=kinds,
        base=base,
        name=name,
        limits=tuple(limits),
        options=options,
        sign=sign,
        tags=tags,
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        requirements=_REQUIREMENTS,
        cached=_known_by(source),
    )
    _refuse_expressions((*destinations, *kinds, *options, *limits, source, base or "", name or ""))
    if tags.strip() != tags or not re.fullmatch(r"[\w.*/+-]+", tags):
        raise UsageError(f"--tags {tags}: it is no pattern of tags", next='--tags "v*"')
    if sign and find_spec("sigstore") is None:
        raise UsageError(
            "the identity of a job signs by Sigstore's client, which is not installed here",
            next='pip install "uploader-provenance[keyless]", or --no-sign',
        )
    found = pins(kinds, (to.partition(":")[0] for to in destinations), keyless=sign)
    if provider == "github":
        texts = {github.FILE: github.workflow(wanted)}
    else:
        texts = {gitlab.FILE: gitlab.pipeline(wanted)}
    texts[_REQUIREMENTS] = "\n".join((_HEAD, *found.lines, ""))
    _write(texts, force=force)
    for line in _next(wanted, found, provider):
        click.echo(line)
    return 0


_HEAD = "# The versions that `uploader ci init` found; write it again with --force after an update."


def _ask(what: str, question: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"{what} is missing", next="uploader ci init FOLDER --to hf:user/model")
    answer: str = click.prompt(question)
    return answer


def _known_by(source: str) -> str:
    """Return the file whose change means that another base may be needed."""
    folder = Path(source)
    config = folder / "adapter_config.json"
    return config.as_posix() if config.is_file() else _REQUIREMENTS


def _refuse_expressions(words: Sequence[str]) -> None:
    """Refuse what the CI, and not the shell, would read as something to compute.

    Raises:
        UsageError: A word has an expression, or more than one line.
    """
    for word in words:
        if "${{" in word or "$[[" in word or not word.isprintable():
            raise UsageError(
                f"{word!r} would be computed by the CI", next="write what it stands for"
            )


def _write(texts: dict[str, str], *, force: bool) -> None:
    """Write all files.

    Raises:
        RefusedError: One is there and --force was not given, or it cannot be written.
    """
    there = [name for name in texts if Path(name).exists()]
    if there and not force:
        raise RefusedError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already",
            owner="the working folder",
            safe="nothing was written",
            next="uploader ci init ... --force replaces them",
        )
    for name, text in texts.items():
        try:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise RefusedError(
                f"{name} cannot be written: {error.strerror}",
                owner="the working folder",
                safe="nothing but these files was changed",
                next="run it in the root of the repository, where you may write",
            ) from error


def _next(wanted: Wanted, found: Pins, provider: str) -> list[str]:
    lines = [
        f"{github.FILE if provider == 'github' else gitlab.FILE} and {_REQUIREMENTS} are written.",
        "Look at them, and commit them.",
    ]
    if wanted.resource:
        lines += [
            "",
            "Once, on the Hub, for each repository that `uploader plan` names:",
            "  1. make it, private, at https://huggingface.co/new",
            "  2. in its Settings, Trusted Publishers, name this repository and "
            + ("workflow = release.yml" if provider == "github" else "ref_type = tag"),
        ]
    if found.from_folders:
        lines += [
            "",
            "Installed here from a folder, so check that the package index has the same version: "
            + ", ".join(found.from_folders),
        ]
    return lines
