"""A format's variants and the kinds beside them, each alone and all in one call."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact
from uploader_core.contract.specs import MakeSpec
from uploader_core.workers.messages import RunStep, RunTogether
from uploader_kit.conformance import expect
from uploader_kit.trial import Trial, resolve_settings
from uploader_kit.watched import Result

Digests = dict[str, dict[str, str]]
"""Digests of files by name, by kind."""


def each_variant(trial: Trial, settings: Mapping[str, object]) -> list[Trial]:
    """Return trials of all that one call would make with what a trial makes.

    Args:
        trial: Of a spec.
        settings: As its class gives them.
    """
    spec = trial.spec
    found = list(_variants(trial))
    if not isinstance(spec, MakeSpec):
        return found
    for other in trial.plugin.of(MakeSpec) if spec.together else ():
        same = (other.run, other.consumes) == (spec.run, spec.consumes)
        if other.together and same and other.name != spec.name:
            own = resolve_settings(trial.plugin, other, settings)
            found += _variants(replace(trial, spec=other, settings=own))
    return found


def check_variants(trial: Trial, steps: list[Trial], place: Callable[[str], Path]) -> None:
    """Make every one alone, then all in one call, then all but the first, which is there.

    Args:
        trial: Of the spec.
        steps: See :func:`each_variant`.
        place: Returns a new folder by name.

    Raises:
        ConformanceError: What is made in one way is not what is made in another.
    """
    alone: Digests = {}
    for step in steps:
        result = step.at(place("alone") / step.kind).run()
        expect(result.error is None, f"{step.kind} cannot be made alone: {result.error}")
        alone |= _digests([result.artifact])
    if not (isinstance(trial.spec, MakeSpec) and trial.spec.together and len(steps) > 1):
        return
    root = place("together")
    beside = [step.at(root / step.kind) for step in steps]
    carrier = trial.at(root)
    for what in ("in one call", "after a part of it was made"):
        result = _in_one_call(carrier, beside)
        expect(result.error is None, f"{what}, the function fails: {result.error}")
        made = _digests(result.value)
        wrong = [kind for kind in alone if made.get(kind) != alone[kind]]
        expect(not wrong, f"{what}, {', '.join(wrong)} is not what it is when made alone: ask "
               "done() of each context for its own files")  # fmt: skip
        for step in beside[1:]:  # as an attempt leaves them that was killed after the first
            for folder in (step.output, step.units):
                shutil.rmtree(folder, ignore_errors=True)


def _variants(trial: Trial) -> Iterator[Trial]:
    for variant in trial.variants or ("",):
        yield replace(trial, only=variant)


def _digests(artifacts: Any) -> Digests:
    found: list[Artifact] = [*artifacts]
    return {made.kind: {file.name: file.sha256 for file in made.files} for made in found}


def _in_one_call(trial: Trial, steps: list[Trial]) -> Result:
    """Make what several trials make by one call, each in its folder below that of the trial."""
    requests = [step.request() for step in steps]
    for request in requests:
        request.context.work.mkdir(parents=True, exist_ok=True)
    message = RunTogether(
        step=" and ".join(request.step for request in requests),
        owner=requests[0].owner,
        run=requests[0].run,
        steps=tuple(request for request in requests if isinstance(request, RunStep)),
    )
    return trial.send(message)
