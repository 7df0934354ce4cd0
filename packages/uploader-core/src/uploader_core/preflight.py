"""Everything that can refuse a run before its first expensive step, reported at once.

Virtual artifacts are made here (they are records, not files), so that checks and estimates can look
through them. Checks of save, convert and document steps are light and run in this process; those of
uploads run in a worker, the only place that sees a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact
from uploader_core.context import PlanContext
from uploader_core.entry_points import import_dotted, missing_requirements
from uploader_core.errors import (
    PluginBrokenError,
    RefusedError,
    StepFailedError,
    UploaderError,
)
from uploader_core.execute import Workers, read_answer, settings_reference
from uploader_core.machine import filesystems, host, windows
from uploader_core.machine.memory import look as look_at_memory
from uploader_core.pace import Pace
from uploader_core.pace import load as load_pace
from uploader_core.plan import Plan, PlannedStep
from uploader_core.proofs import Proofs, findings_of, refusals_of
from uploader_core.settings import to_json
from uploader_core.space import Present, assess, refusals
from uploader_core.specs import DocumentSpec, Estimate, Finding, UploadSpec
from uploader_core.text import size_text
from uploader_core.worker import perform

_WORTH_SAYING = 256 << 20
"""Bytes below which a slow disk is nothing to mention."""


def prepare(
    plan: Plan,
    workers: Workers,
    kept: Iterable[str] = (),
    *,
    jobs: int = 1,
    present: Present | None = None,
    proofs: Proofs | None = None,
) -> tuple[Plan, list[UploaderError]]:
    """Fill a plan with virtual artifacts, estimates and findings.

    Args:
        plan: From the planner.
        workers: For the checks that need one.
        kept: Steps that will not run, so nothing about them is checked.
        jobs: Heavy steps side by side.
        present: What is in the release folder already.
        proofs: Where checks that take seconds are begun; None leaves them out.

    Returns:
        The completed plan, and every error that refuses the run.
    """
    kept = set(kept)
    errors: list[UploaderError] = []
    virtual: dict[str, Artifact] = {}
    steps: dict[str, PlannedStep] = {}
    broken: set[str] = set()
    pace = load_pace()
    # What need not be made again costs nothing, but a copy of it does.
    made = {
        step_id: Estimate(bytes_written=sum(size for _, size in files), files=files, exact=True)
        for step_id, files in ({} if present is None else present.made).items()
    }
    for step in plan.steps:
        steps[step.id] = step
        if step.id in kept and not step.is_virtual:
            continue
        if broken & set(step.inputs):
            broken.add(step.id)
            continue
        inputs = stand_ins(plan, step, virtual)
        try:
            _check_requirements(step)
            if step.is_virtual:
                virtual[step.id] = open_virtual(plan, step, inputs)
                continue
            estimates = {s.kind: made.get(s.id, s.estimate) for s in steps.values()}
            # The check first: it says why, where an estimate only fails to read something.
            findings = tuple(_check(plan, step, inputs, estimates, workers))
            steps[step.id] = replace(step, findings=findings)
            estimate = _estimate(plan, step, inputs, estimates)
            steps[step.id] = _timed(replace(steps[step.id], estimate=estimate), pace)
        except UploaderError as error:
            said = refusals_of(step.id, steps[step.id].findings)
            owned = error if error.owner else error.replace(owner=step.plugin.entry.owner)
            errors += said or [owned]
            broken.add(step.id)
            continue
        refused = refusals_of(step.id, findings)
        errors += refused
        if proofs is not None and not refused:
            proofs.begin(plan, step, inputs)
    prepared = replace(plan, steps=tuple(steps[s.id] for s in plan.steps), virtual=virtual)
    prepared = replace(prepared, space=assess(prepared, kept, jobs=jobs, present=present))
    errors += refusals(prepared, kept, jobs=jobs, present=present)
    errors += _check_names(prepared, kept)
    warnings = (
        *prepared.warnings,
        *_slow_places(prepared),
        *_short_of_memory(prepared, kept, jobs),
    )
    return replace(prepared, warnings=warnings), _once(errors)


def _once(errors: list[UploaderError]) -> list[UploaderError]:
    """Leave out what was said already: several formats are often stopped by the same thing."""
    found: dict[str, UploaderError] = {}
    for error in errors:
        found.setdefault(error.what, error)
    return [*found.values()]


def combine(errors: list[UploaderError]) -> UploaderError:
    """Make one error of all the reasons for a refusal; a single one stays as it is.

    What several steps say alike is one reason.
    """
    errors = list({error.what: error for error in reversed(errors)}.values())[::-1]
    if len(errors) == 1:
        return errors[0]
    codes = {error.exit_code for error in errors}
    kind = type(errors[0]) if len(codes) == 1 else RefusedError
    whats = "\n".join(f"  {n}. {error.what}" for n, error in enumerate(errors, 1))
    nexts = "\n".join(
        f"  {n}. {error.next}" for n, error in enumerate(errors, 1) if error.next is not None
    )
    return kind(
        f"{len(errors)} things stand in the way:\n{whats}",
        safe="nothing was started",
        next=f"\n{nexts}" if nexts else None,
    )


def stand_ins(
    plan: Plan, step: PlannedStep, virtual: Mapping[str, Artifact]
) -> tuple[Artifact, ...]:
    """Return a step's inputs as far as they are known before the run."""
    found = []
    for source in step.inputs:
        if source.startswith("source:"):
            found.append(plan.sources.artifacts[source.removeprefix("source:")])
        elif source in virtual:
            found.append(virtual[source])
        else:
            maker = plan.step(source)
            path = plan.output / (maker.folder or ".")
            found.append(Artifact(kind=maker.kind, path=path, producer=source))
    return tuple(found)


def open_virtual(plan: Plan, step: PlannedStep, inputs: tuple[Artifact, ...]) -> Artifact:
    """Run a virtual step; it writes nothing."""
    request = make_request(
        plan, step, inputs, output=plan.output, work=plan.output, returns="artifact"
    )
    return read_answer(request, perform(request, lambda _: None, lambda: False), Artifact.from_json)


def make_request(
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    *,
    output: Path,
    work: Path,
    returns: str,
    units: Path | None = None,
) -> dict[str, Any]:
    """Describe a step for a worker; see :mod:`uploader_core.worker`."""
    spec = step.spec
    is_upload = isinstance(spec, UploadSpec)
    own = len(inputs) - len(step.measurements)  # measurements are the last inputs
    return {
        "op": "run",
        "step": step.id,
        "plugin": step.plugin.id,
        "owner": step.plugin.entry.owner,
        "run": spec.run,
        "settings_class": settings_reference(step.settings),
        "settings": to_json(step.settings),
        "inputs": [artifact.to_json() for artifact in inputs[:own]],
        "measurements": [artifact.to_json() for artifact in inputs[own:]],
        "release": plan.release.to_json(),
        "output": str(output),
        "work": str(work),
        "units": None if units is None else str(units),
        "produces": step.kind,
        "returns": returns,
        "target": step.target,
        "destination": step.destination,
        "targets": [
            s.target for s in plan.uploads if is_upload and s.destination == step.destination
        ],
        "loads": [*plan.loads_of(step.inputs, flatten=step.flatten)] if is_upload else [],
        "secrets": list(spec.secrets) if isinstance(spec, UploadSpec) else [],
        "network": is_upload,
        "sources": {
            kind: str(artifact.path)
            for kind, artifact in plan.sources.artifacts.items()
            if isinstance(spec, DocumentSpec)
        },
        "model_id": plan.model_id_of(step),
        "sections": [
            {
                "plugin": ref.plugin.id,
                "owner": ref.plugin.entry.owner,
                "heading": ref.spec.section,
                "run": ref.spec.run,
                "kind": ref.kind,
                "settings_class": settings_reference(ref.settings),
                "settings": to_json(ref.settings),
            }
            for ref in step.sections
        ],
    }


def _check_requirements(step: PlannedStep) -> None:
    missing = missing_requirements(step.spec.needs)
    if missing:
        raise PluginBrokenError(
            f"{step.id} needs {', '.join(missing)}",
            owner=step.plugin.entry.owner,
            safe="nothing was started",
            next="pip install " + " ".join(f'"{m.split(" (")[0]}"' for m in missing),
        )


def _plan_context(
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    estimates: Mapping[str, Estimate],
) -> PlanContext:
    files, loads = plan.coming(step, estimates)
    return PlanContext(
        inputs=inputs,
        settings=step.settings,
        release=plan.release,
        output=plan.output / (step.folder or "."),
        target=step.target,
        sizes={kind: estimate.bytes_written for kind, estimate in estimates.items()},
        names={kind: estimate.files for kind, estimate in estimates.items()},
        sources={kind: artifact.path for kind, artifact in plan.sources.artifacts.items()},
        files=files,
        loads=loads,
    )


def _estimate(
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    estimates: Mapping[str, Estimate],
) -> Estimate:
    if isinstance(step.spec, UploadSpec) and step.spec.estimate is None:
        total = sum(
            estimates[artifact.kind].bytes_written
            for artifact in inputs
            if artifact.kind in estimates
        )
        return Estimate(bytes_sent=total)
    if step.spec.estimate is None:
        return Estimate()
    context = _plan_context(plan, step, inputs, estimates)
    estimate = _contained(step, step.spec.estimate, context)
    if not isinstance(estimate, Estimate):
        raise PluginBrokenError(f"{step.spec.estimate} did not return an Estimate")
    return estimate


def _check(
    plan: Plan,
    step: PlannedStep,
    inputs: tuple[Artifact, ...],
    estimates: Mapping[str, Estimate],
    workers: Workers,
) -> list[Finding]:
    if step.spec.check is None:
        return []
    if isinstance(step.spec, UploadSpec) and step.spec.isolation == "process":
        request = make_request(
            plan, step, inputs, output=plan.output, work=plan.output, returns="findings"
        )
        request |= {
            "op": "check",
            "run": step.spec.check,
            "sizes": {kind: e.bytes_written for kind, e in estimates.items()},
            "names": {kind: [[*file] for file in e.files] for kind, e in estimates.items()},
            "sources": {kind: str(a.path) for kind, a in plan.sources.artifacts.items()},
        }
        request["known"], request["loads"] = plan.coming(step, estimates)
        answer = workers.perform(request, lambda _: None)
        return read_answer(request, answer, findings_of)
    context = _plan_context(plan, step, inputs, estimates)
    return list(_contained(step, step.spec.check, context, listed=True) or ())


def _contained(
    step: PlannedStep, dotted: str, context: PlanContext, *, listed: bool = False
) -> Any:
    """Call a plugin's light function; whatever it raises is named as the plugin's."""
    function: Callable[[PlanContext], Any] = import_dotted(dotted, step.plugin.entry.owner)
    try:
        result = function(context)
        # A generator fails while it is walked, so it is walked in here.
        return list(result or ()) if listed else result
    except UploaderError:
        raise
    except (Exception, SystemExit) as error:
        raise StepFailedError(
            f"the preflight of {step.id} failed: {type(error).__name__}: {error}",
            owner=step.plugin.entry.owner,
            safe="nothing was started",
            next=f"pip install -U {step.plugin.entry.distribution}",
        ) from error


def _timed(step: PlannedStep, pace: Pace) -> PlannedStep:
    expected = pace.expect(step)
    if expected is None:
        return step
    return replace(
        step,
        seconds=expected.seconds,
        seconds_from=expected.source,
        measured=expected.measured,
    )


def _slow_places(plan: Plan) -> Iterator[Finding]:
    """Warn of file systems on which gigabytes take very long."""
    for system in plan.space:
        mount = filesystems.find_mount(system.path)
        why = None if mount is None else filesystems.slow_because(mount)
        if why is not None and system.peak > _WORTH_SAYING:
            yield Finding(
                level="warning",
                what=why,
                next="--output on a disk of this system" if "release" in system.uses else None,
            )


def _short_of_memory(plan: Plan, kept: set[str], jobs: int) -> Iterator[Finding]:
    """Warn of steps that need more memory than there is; how much they need is an upper bound."""
    memory = look_at_memory()
    if memory is None:
        return
    room = memory.total if memory.available is None else memory.available
    steps = sorted(
        (s for s in plan.steps if s.id not in kept), key=lambda s: -s.estimate.peak_memory
    )
    for step in steps:
        needed = step.estimate.peak_memory
        if needed > room:
            of = f" ({memory.limited_by})" if memory.limited_by else ""
            yield Finding(
                level="warning",
                what=f"{step.id} needs up to {size_text(needed)} of memory, and "
                f"{size_text(room)} are available{of}",
                next="close other programs, or run it where there is more",
            )
    together = sum(s.estimate.peak_memory for s in steps[:jobs])
    if jobs > 1 and steps and steps[0].estimate.peak_memory <= room < together:
        yield Finding(
            level="warning",
            what=f"{jobs} steps side by side need up to {size_text(together)} of memory, and "
            f"{size_text(room)} are available",
            next="--jobs 1",
        )


def _check_names(plan: Plan, kept: set[str]) -> list[UploaderError]:
    """Refuse on Windows what Windows could not write, before hours are spent on it."""
    facts = host.look()
    if facts.system != "Windows":
        return []
    names = [
        f"{step.folder}/{name}"
        for step in plan.artifacts
        if step.id not in kept
        for name, _ in step.estimate.files
    ]
    problems = windows.path_problems(str(plan.output), names, long_paths=facts.long_paths)
    return [
        RefusedError(
            problem,
            owner="the rules of Windows for names",
            safe="nothing was written",
            next="choose a shorter --output or --name, or switch long paths on "
            "(LongPathsEnabled, see `uploader doctor`)",
        )
        for problem in problems
    ]
