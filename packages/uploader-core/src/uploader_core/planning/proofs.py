"""Checks that take seconds: each in a worker, in parallel, finished before the first byte.

A spec's ``check`` is light and runs while the plan is made. What needs a heavy library
(``prove``) would hold up every plan and every run, so it begins when the plan is made and is waited
for at the last moment: a run hashes its sources meanwhile.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import replace

from uploader_core.artifact import Artifact
from uploader_core.contract.context import PlanContext
from uploader_core.contract.specs import Finding
from uploader_core.errors import RefusedError, UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.release.record import canonical_digest
from uploader_core.untrusted_json import as_json
from uploader_core.workers.messages import Check
from uploader_core.workers.pool import Workers


class Proofs:
    """The proofs of one plan, in workers that end when it is closed.

    Args:
        workers: For these alone.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
        self._begun: dict[str, tuple[str, concurrent.futures.Future[tuple[Finding, ...]]]] = {}

    def close(self) -> None:
        """End what is still being proved."""
        self._workers.kill()
        self._pool.shutdown()

    def begin(self, plan: Plan, step: PlannedStep, inputs: tuple[Artifact, ...]) -> None:
        """Start what a step's spec wants proved, once for all specs that want the same.

        Args:
            plan: What the step belongs to.
            step: Its spec names the function.
            inputs: The step's inputs, or what stands for them.
        """
        function = step.spec.prove
        if function is None:
            return
        context = PlanContext(
            inputs=inputs,
            settings=None,
            release=plan.release,
            output=plan.output,
            sources=plan.source_folders,
        )
        request = Check(
            step=f"proof of {step.id}", owner=step.plugin.entry.owner, run=function, context=context
        )
        key = canonical_digest([function, as_json(context)["inputs"]])
        if key not in self._begun:
            job = self._pool.submit(self._workers.perform, request)
            self._begun[key] = (step.id, job)

    def finish(self, plan: Plan) -> tuple[Plan, tuple[Finding, ...], list[UploaderError]]:
        """Wait for everything that was begun.

        Returns:
            The plan with the findings at their steps, the findings, and what refuses the run.
        """
        errors: list[UploaderError] = []
        found: dict[str, tuple[Finding, ...]] = {}
        for step_id, future in self._begun.values():
            try:
                found[step_id] = future.result()
                errors += refusals_of(step_id, found[step_id])
            except UploaderError as error:
                errors.append(error)
        self._begun.clear()
        steps = (replace(s, findings=(*s.findings, *found.get(s.id, ()))) for s in plan.steps)
        added = tuple(finding for findings in found.values() for finding in findings)
        return replace(plan, steps=tuple(steps)), added, errors


def refusals_of(step_id: str, findings: tuple[Finding, ...]) -> list[UploaderError]:
    """Return the errors among a step's findings, as what refuses a run."""
    return [
        RefusedError(finding.what, owner=f"preflight of {step_id}", next=finding.next)
        for finding in findings
        if finding.level == "error"
    ]
