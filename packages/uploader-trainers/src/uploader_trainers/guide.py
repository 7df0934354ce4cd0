"""``uploader`` without arguments: which run, which formats, where to; then the plan and the run."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from uploader_core import api
from uploader_core.api import (
    ARTIFACTS,
    SCHEMES,
    CancelledError,
    Registry,
    Request,
    TrainingRun,
    UploaderError,
    UploadSpec,
    UsageError,
    describe,
    duration_text,
    fields_of,
    find_runs,
    shown,
    size_text,
)

_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A format that could be made of a run.

    Attributes:
        kind: As ``--plugins`` takes it.
        about: Files, size and time.
        default: Whether uploader makes it when nobody says anything.
        refusal: Why it cannot be made; empty when it can.
    """

    kind: str
    about: str = ""
    default: bool = False
    refusal: str = ""


@click.command()
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--debug", is_flag=True, hidden=True)
def guide(folders: tuple[Path, ...], debug: bool) -> int:
    """Ask what to release: a run in FOLDER or the working folder, its formats, and where to.

    Every question has an answer that Enter takes. Nothing is made before the plan was shown and the
    last question answered.
    """
    runs = find_runs([Path.cwd(), *folders])
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return _say_what_to_type(runs)
    if not runs:
        raise UsageError(
            f"no training run was found in {Path.cwd()}",
            safe="nothing was changed",
            next="uploader run PATH_TO/final_model --to hf:YOU/YOUR-MODEL",
        )
    run = _ask_run(runs)
    registry = api.make_registry()
    kinds = _ask_formats(_formats(run, registry))
    destination, options = _ask_destination(registry)
    request = Request(
        source=str(run.path),
        plugins=tuple(kinds),
        destinations=() if destination is None else (destination,),
    )
    request = replace(request, command=_command(request, options))
    click.echo(f"\nThe same without questions:\n  {request.command}\n")
    return api.run_on_terminal(request, registry, api.load_config(options=options), ask="always")


def _say_what_to_type(runs: list[TrainingRun]) -> int:
    """There is nobody to ask: say what somebody would type."""
    if runs:
        click.echo("training runs, newest first:")
        for run in runs[:_SHOWN]:
            click.echo(f"  {describe(run)}")
    path = shlex.quote(shown(runs[0].path)) if runs else "PATH_TO/final_model"
    click.echo("type what to release, and where to:")
    click.echo(f"  uploader plan {path}")
    click.echo(f"  uploader run {path} --plugins lora,gguf --to hf:YOU/YOUR-MODEL")
    return 2


def _ask(question: Any) -> Any:
    """Ask; Ctrl-C is an answer too.

    Raises:
        CancelledError: The person stopped.
    """
    answer = question.unsafe_ask()
    if answer is None:
        raise CancelledError("not started", safe="nothing was changed")
    return answer


def _ask_run(runs: list[TrainingRun]) -> TrainingRun:
    import questionary

    width = shutil.get_terminal_size().columns - 5  # the mark of the choice, and the edge
    choices = [
        questionary.Choice(describe(run, width), value=n) for n, run in enumerate(runs[:_SHOWN])
    ]
    n = _ask(questionary.select("Which run?", choices=choices))
    return runs[int(n)]


def _formats(run: TrainingRun, registry: Registry) -> list[Format]:
    """Plan every format that is installed, alone, for its size and time."""
    found = []
    default = _default_kinds(run, registry)
    for kind in registry.names(ARTIFACTS):
        request = Request(source=str(run.path), plugins=(kind,))
        try:
            survey = api.plan(request, registry=registry)
        except UploaderError as error:
            found.append(Format(kind=kind, refusal=error.what))
            continue
        if survey.errors:
            found.append(Format(kind=kind, refusal=survey.errors[0].what))
            continue
        step = next((s for s in survey.plan.artifacts if s.kind == kind), None)
        if step is None:
            continue  # made while planning: nothing that could be released
        estimate = step.estimate
        parts = [
            "" if not estimate.bytes_written else size_text(estimate.bytes_written),
            "" if step.seconds is None else f"about {duration_text(step.seconds)}",
            ", ".join(
                Path(file).stem.removeprefix(survey.plan.release.name + "-")
                for file, _ in estimate.files
                if file.endswith(".gguf")
            ),
        ]
        about = ", ".join(part for part in parts if part)
        found.append(Format(kind=kind, about=about, default=kind in default))
    return found


def _default_kinds(run: TrainingRun, registry: Registry) -> set[str]:
    try:
        survey = api.plan(Request(source=str(run.path)), registry=registry)
    except UploaderError:
        return set()
    return {step.kind for step in survey.plan.artifacts if step.needed_by is None}


def _ask_formats(formats: list[Format]) -> list[str]:
    import questionary

    width = max(len(f.kind) for f in formats)
    choices = [
        questionary.Choice(
            f"{f.kind:<{width}}  {f.about}",
            value=f.kind,
            checked=f.default and not f.refusal,
            disabled=f.refusal or None,
        )
        for f in sorted(formats, key=lambda f: (bool(f.refusal), not f.default, f.kind))
    ]
    at_least_one: Callable[[list[str]], bool | str] = lambda kinds: bool(kinds) or "one at least"  # noqa: E731
    answer = _ask(
        questionary.checkbox(
            "Which formats?",
            choices=choices,
            validate=at_least_one,
            instruction="(space to choose, Enter to go on)",
        )
    )
    return [str(kind) for kind in answer]


def _ask_destination(registry: Registry) -> tuple[str | None, dict[str, dict[str, object]]]:
    """Ask where to, and who may see it where a destination can be public."""
    import questionary

    nowhere = "nowhere: the release folder is the result"
    uploads = {scheme: _upload(registry, scheme) for scheme in registry.names(SCHEMES)}
    choices = [questionary.Choice(nowhere, value="")]
    for scheme, found in uploads.items():
        if found is not None:
            choices.append(questionary.Choice(f"{scheme}:  {found[1].summary}", value=scheme))
    scheme = _ask(questionary.select("Where to?", choices=choices))
    found = uploads.get(scheme)
    if not scheme or found is None:
        return None, {}
    example = "USER/NAME" if scheme == "hf" else "FOLDER"
    filled: Callable[[str], bool | str] = lambda text: bool(text.strip()) or example  # noqa: E731
    rest = _ask(questionary.text(f"{scheme}:", validate=filled, instruction=f"({example})"))
    plugin_id, spec = found
    options: dict[str, dict[str, object]] = {}
    fields = () if spec.settings is None else fields_of(plugin_id, spec.settings)
    if any(field.name == "public" for field in fields):
        choice = _ask(questionary.select("Who may see it?", choices=["only I", "everybody"]))
        if choice == "everybody":
            options[plugin_id] = {"public": True}
    return f"{scheme}:{rest.strip()}", options


def _upload(registry: Registry, scheme: str) -> tuple[str, UploadSpec] | None:
    for plugin_id in registry.providers(SCHEMES, scheme):
        try:
            specs = registry.load(plugin_id).of(UploadSpec)
        except UploaderError:
            continue  # named by `uploader plugins list --check`; others still work
        for spec in specs:
            if spec.scheme == scheme:
                return plugin_id, spec
    return None


def _command(request: Request, options: dict[str, dict[str, object]]) -> str:
    words = [
        "uploader",
        "run",
        shown(Path(request.source)),
        "--plugins",
        ",".join(request.plugins),
    ]
    for destination in request.destinations:
        words += ["--to", destination]
    words += [f"--{plugin}-{field}" for plugin, fields in options.items() for field in fields]
    return shlex.join(words)
