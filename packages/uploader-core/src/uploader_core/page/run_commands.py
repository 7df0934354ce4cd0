"""How to run what was made, as the plugins say it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from uploader_core.contract.context import UseContext
from uploader_core.contract.specs import MakeSpec
from uploader_core.errors import PluginError
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import call_light
from uploader_core.running.report import Report


def use_commands(report: Report) -> list[tuple[str, str]]:
    """Return programs and commands that run what was made.

    Where a program runs several kinds, the kind stands behind its name.
    """
    found: dict[tuple[str, str, str], None] = {}
    for step, dotted in _told(report):
        # It is the end of a run that went well: a hint that fails is no reason to say otherwise.
        with contextlib.suppress(PluginError):
            found |= dict.fromkeys((n, step.kind, c) for n, c in _pairs(report, step, dotted))
    kinds = Counter(program for program, _ in {(n, kind): None for n, kind, _ in found})
    return [
        (f"{program} ({kind})" if kinds[program] > 1 else program, command)
        for program, kind, command in found
    ]


def check_uses(report: Report) -> None:
    """Ask every plugin once how what it made is run.

    Raises:
        PluginError: One of them fails, or says something else than programs and commands.
    """
    faults = []
    for step, dotted in _told(report):
        try:
            _pairs(report, step, dotted)
        except PluginError as error:
            faults.append(error)
    if faults:
        owners = dict.fromkeys(str(error.owner) for error in faults)
        raise PluginError("; ".join(error.what for error in faults), owner=", ".join(owners))


def as_typed(path: Path) -> Path:
    """Return a path as it can be typed here: relative where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path


def _told(report: Report) -> Iterator[tuple[PlannedStep, str]]:
    """Yield the steps whose artifacts are there and whose plugin knows how to run them."""
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        spec = step.spec
        if record is None or record.artifact is None:
            continue
        if isinstance(spec, MakeSpec) and spec.use is not None:
            yield step, spec.use


def _pairs(report: Report, step: PlannedStep, dotted: str) -> list[tuple[str, str]]:
    """Ask the plugin of a step for programs and commands; see :func:`programs_of`."""
    record = report.outcomes[step.id].record
    assert record is not None
    made = record.made
    context = UseContext(
        artifact=replace(made, path=as_typed(made.path)),
        release=report.plan.release,
        published=_published(report, step),
    )
    return programs_of(dotted, step.plugin.entry.owner, context)


def programs_of(dotted: str, owner: str, context: UseContext) -> list[tuple[str, str]]:
    """Ask a plugin for programs and commands.

    Args:
        dotted: A spec's ``use``.
        owner: Whose it is.
        context: What was made.

    Raises:
        PluginError: It fails, or returns something else.
    """
    try:
        pairs = list(call_light(dotted, owner, context))
    except (Exception, SystemExit) as error:
        what = f"{dotted} of {owner} does not say how to run it: {type(error).__name__}: {error}"
        raise PluginError(what, owner=owner) from error
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and [type(text) for text in pair] == [str, str]):
            raise PluginError(
                f"{dotted} of {owner} gave {str(pair)[:60]!r}, expected a program and a command",
                owner=owner,
            )
    return [(program, command) for program, command in pairs]


def _published(report: Report, step: PlannedStep) -> dict[str, str]:
    """Find the destinations where an artifact is alone, so that its name is that of the target."""
    found = {}
    for upload in report.plan.uploads:
        record = report.outcomes[upload.id].record
        alone = upload.flatten and upload.destination and upload.target
        if alone and step.id in upload.inputs and record is not None:
            found[str(upload.destination).partition(":")[0]] = str(upload.target)
    return found
