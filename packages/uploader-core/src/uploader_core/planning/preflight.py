"""Everything that can refuse a run before its first expensive step, reported at once.

Virtual artifacts are made here (they are records, not files), so that checks and estimates can look
through them. Checks of save, convert and document steps are light and run in this process; those of
uploads, and of documents with secrets, run in a worker, the only place that sees a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from uploader_core.artifact import Artifact
from uploader_core.contract.context import PlanContext
from uploader_core.contract.costs import Estimate
from uploader_core.contract.returned import check_estimate
from uploader_core.contract.specs import Finding, UploadSpec
from uploader_core.errors import PluginBrokenError, StepFailedError, UploaderError, once
from uploader_core.planning.plan import Plan, PlannedStep, name_prefix
from uploader_core.planning.present import Present
from uploader_core.planning.proofs import Proofs, refusals_of
from uploader_core.planning.step_request import make_request, stand_ins
from uploader_core.plugins.entry_points import call_light, missing_requirements
from uploader_core.workers.child import perform
from uploader_core.workers.messages import Check, RunStep, Settings
from uploader_core.workers.pool import Workers


def prepare(
    plan: Plan, workers: Workers, proofs: Proofs, kept: Collection[str], present: Present
) -> tuple[Plan, list[UploaderError]]:
    """Fill a plan with virtual artifacts, estimates and findings.

    Args:
        plan: From the planner.
        workers: For the checks that need one.
        proofs: Where checks that take seconds are begun.
        kept: Steps that will not run, so nothing about them is checked; but a document of the whole
            release is asked again whether it may go where it is sent.
        present: What is in the release folder already.

    Returns:
        The completed plan, and every error that refuses the run.
    """
    sending = any(step.uploads and step.id not in kept for step in plan.steps)
    errors: list[UploaderError] = []
    virtual = {**plan.virtual}
    steps: dict[str, PlannedStep] = {}
    broken: set[str] = set()
    # What need not be made again costs nothing, but a copy of it does.
    made = {
        step_id: Estimate(bytes_written=sum(size for _, size in files), files=files, exact=True)
        for step_id, files in present.made.items()
    }
    for step in plan.steps:
        steps[step.id] = step
        asked = sending and getattr(step.spec, "scope", "") == "release"
        if step.id in kept and not (step.is_virtual or asked):
            continue
        if broken & set(step.inputs):
            broken.add(step.id)
            continue
        inputs = stand_ins(plan, step, virtual)
        try:
            _check_requirements(step)
            if step.is_virtual:
                if step.id not in virtual:
                    virtual[step.id] = open_virtual(plan, step, inputs)
                continue
            estimates = {s.kind: made.get(s.id, s.estimate) for s in steps.values()}
            context = _plan_context(plan, step, inputs, estimates)
            # The check first: it says why, where an estimate only fails to read something.
            step = steps[step.id] = replace(step, findings=_check(step, context, workers))
            step = steps[step.id] = replace(step, estimate=_estimate(step, context))
        except UploaderError as error:
            owned = error if error.owner else error.replace(owner=step.plugin.entry.owner)
            errors += refusals_of(step.id, step.findings) or [owned]
            broken.add(step.id)
            continue
        refused = refusals_of(step.id, step.findings)
        errors += refused
        if not refused:
            proofs.begin(plan, step, inputs)
    return replace(plan, steps=tuple(steps.values()), virtual=virtual), once(errors)


def open_virtual(plan: Plan, step: PlannedStep, inputs: tuple[Artifact, ...]) -> Artifact:
    """Run a virtual step; it writes nothing."""
    request = make_request(RunStep, plan, step, inputs, output=plan.output, work=plan.output)
    return perform(request, lambda _: None, lambda: False)


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
    plan: Plan, step: PlannedStep, inputs: tuple[Artifact, ...], estimates: Mapping[str, Estimate]
) -> PlanContext:
    """Say what is known before the run.

    Args:
        plan: What the step belongs to.
        step: The step.
        inputs: Its inputs, or what stands for them.
        estimates: By kind.
    """
    # What an upload brings, where estimates name single files.
    brought = [maker for maker in plan.artifacts if step.uploads and maker.id in step.inputs]
    told = [maker for maker in brought if estimates[maker.kind].files]
    return PlanContext(
        inputs=inputs,
        settings=step.settings,
        release=plan.release,
        output=plan.output / (step.folder or "."),
        target=step.target,
        variant=step.variant,
        # Whole numbers: a plugin may have computed with others.
        sizes={kind: int(estimate.bytes_written) for kind, estimate in estimates.items()},
        names={
            kind: tuple((name, int(size)) for name, size in estimate.files)
            for kind, estimate in estimates.items()
        },
        sources=plan.source_folders,
        files=tuple(
            name_prefix(maker.folder, flatten=step.flatten) + name
            for maker in told
            for name, _ in estimates[maker.kind].files
        ),
        loads=plan.loads_of((maker.id for maker in told), flatten=step.flatten),
        uploads={upload.destination or "": upload.settings_json for upload in plan.uploads},
    )


def _check(step: PlannedStep, context: PlanContext, workers: Workers) -> tuple[Finding, ...]:
    spec = step.spec
    if spec.check is None:
        return ()
    if (isinstance(spec, UploadSpec) or step.secrets) and spec.isolation == "process":
        request = Check(
            step=step.id,
            owner=step.plugin.entry.owner,
            secrets=step.secrets,
            network=True,
            run=spec.check,
            context=replace(context, settings=None),
            settings=Settings.of(step.plugin.id, step.settings),
        )
        return workers.perform(request)
    with _contained(step):
        found = tuple(call_light(spec.check, step.plugin.entry.owner, context) or ())
    if not all(isinstance(finding, Finding) for finding in found):
        raise PluginBrokenError(f"{spec.check} gave something else than findings")
    return found


def _estimate(step: PlannedStep, context: PlanContext) -> Estimate:
    dotted = step.spec.estimate
    if dotted is None:
        sent = sum(context.sizes.get(artifact.kind, 0) for artifact in context.inputs)
        return Estimate(bytes_sent=sent if step.uploads else 0)
    with _contained(step):
        estimate = call_light(dotted, step.plugin.entry.owner, context)
    return check_estimate(estimate, dotted)


@contextlib.contextmanager
def _contained(step: PlannedStep) -> Iterator[None]:
    """Name whatever a plugin's light function raises as the plugin's."""
    try:
        yield
    except UploaderError:
        raise
    except (Exception, SystemExit) as error:
        raise StepFailedError(
            f"the preflight of {step.id} failed: {type(error).__name__}: {error}",
            owner=step.plugin.entry.owner,
            safe="nothing was started",
            next="--debug shows the traceback; report it to " + step.plugin.entry.distribution,
        ) from error
