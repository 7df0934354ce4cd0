"""Checks that take seconds: each in a worker, beside whatever else is done, through before a byte.

A spec's ``check`` is light and runs while the plan is made. What needs a heavy library
(``prove``) would hold up every plan and every run, so it begins when the plan is made and is waited
for at the last moment: a run hashes its sources meanwhile.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.specs import Finding
from uploader_core.errors import RefusedError, UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.release.store import canonical_digest
from uploader_core.untrusted_json import member
from uploader_core.workers.pool import Workers, read_answer


class Proofs:
    """The proofs of one plan, as a context that ends their workers.

    Args:
        environment: Variables of the run.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._workers = Workers(environment)
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
        self._begun: dict[str, tuple[str, concurrent.futures.Future[list[Finding]]]] = {}

    def __enter__(self) -> Proofs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workers.stop()
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
        request: dict[str, Json] = {
            "op": "check",
            "step": f"proof of {step.id}",
            "owner": step.plugin.entry.owner,
            "run": function,
            "inputs": [artifact.to_json() for artifact in inputs],
            "release": plan.release.to_json(),
            "output": str(plan.output),
            "sources": {kind: str(a.path) for kind, a in plan.sources.artifacts.items()},
        }
        key = canonical_digest([function, request["inputs"]])
        if key not in self._begun:
            self._begun[key] = (step.id, self._pool.submit(self._perform, request))

    def _perform(self, request: Mapping[str, Json]) -> list[Finding]:
        answer = self._workers.perform(request, lambda _: None)
        return read_answer(request, answer, findings_of)

    def finish(self, plan: Plan) -> tuple[Plan, tuple[Finding, ...], list[UploaderError]]:
        """Wait for everything that was begun.

        Returns:
            The plan with the findings at their steps, the findings, and what refuses the run.
        """
        errors: list[UploaderError] = []
        added: list[Finding] = []
        for step_id, future in self._begun.values():
            try:
                findings = tuple(future.result())
            except UploaderError as error:
                errors.append(error)
                continue
            added += findings
            errors += refusals_of(step_id, findings)
            plan = replace(
                plan,
                steps=tuple(
                    replace(step, findings=(*step.findings, *findings))
                    if step.id == step_id
                    else step
                    for step in plan.steps
                ),
            )
        self._begun.clear()
        return plan, tuple(added), errors


def findings_of(answer: Mapping[str, Json]) -> list[Finding]:
    """Read what a check found in a worker.

    Raises:
        ValueError: It is nothing of the kind.
    """
    return [Finding.from_json(item) for item in member(answer, "findings", list)]


def refusals_of(step_id: str, findings: tuple[Finding, ...]) -> list[UploaderError]:
    """Return the errors among a step's findings, as what refuses a run."""
    return [
        RefusedError(finding.what, owner=f"preflight of {step_id}", next=finding.next)
        for finding in findings
        if finding.level == "error"
    ]
