"""How to run what was made, as the plugins say it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from uploader_core.contract.context import UseContext
from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.errors import UploaderError
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import import_dotted
from uploader_core.running.report import Report


def use_commands(report: Report) -> list[tuple[str, str]]:
    """Return programs and commands that run what was made, the first of each program."""
    found: dict[str, str] = {}
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        spec = step.spec
        if (
            record is None
            or record.artifact is None
            or not isinstance(spec, (SaveSpec, ConvertSpec))
            or spec.use is None
        ):
            continue
        context = UseContext(
            artifact=replace(record.artifact, path=as_typed(record.artifact.path)),
            release=report.plan.release,
            published=_published(report, step),
        )
        # It is the end of a run that went well: a hint that fails is no reason to say otherwise.
        with contextlib.suppress(UploaderError, ValueError, KeyError, TypeError):
            for program, command in import_dotted(spec.use, step.plugin.entry.owner)(context):
                found.setdefault(str(program), str(command))
    return list(found.items())


def as_typed(path: Path) -> Path:
    """Return a path as it can be typed here: relative where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path


def _published(report: Report, step: PlannedStep) -> dict[str, str]:
    """Find the destinations where an artifact is alone, so that its name is that of the target."""
    found = {}
    for upload in report.plan.uploads:
        record = report.outcomes[upload.id].record
        alone = upload.flatten and upload.destination and upload.target
        if alone and step.id in upload.inputs and record is not None:
            found[str(upload.destination).partition(":")[0]] = str(upload.target)
    return found
