"""The key of a step: equal key, equal result."""

from __future__ import annotations

from uploader_core.artifact import Json
from uploader_core.disk.safe_write import hash_file
from uploader_core.lineage import fact_files
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.release.record import canonical_digest


class Common:
    """What the keys of all steps of a plan have in common.

    Args:
        plan: Its release and sources.
    """

    def __init__(self, plan: Plan) -> None:
        release = plan.release
        self.name = release.name
        self.base: list[Json] = [
            release.base_model,
            release.base_is_hub_id,
            release.base_revision,
        ]
        self.leave_behind: list[Json] = [*sorted(release.leave_behind)]
        self._folders = {kind: artifact.path for kind, artifact in plan.sources.artifacts.items()}
        self._facts: list[Json] | None = None

    def facts(self) -> list[Json]:
        """Digest what documents may draw on: a changed README of the source makes a new card."""
        if self._facts is None:
            self._facts = [[path.name, hash_file(path)[1]] for path in fact_files(self._folders)]
        return self._facts


def step_key(step: PlannedStep, inputs: list[Json], common: Common) -> str:
    """Digest everything that a step's result depends on.

    Args:
        step: As planned.
        inputs: Names and digests of what it consumes.
        common: Of the plan.
    """
    return canonical_digest(
        {
            "step": step.id,
            "run": step.spec.run,
            "distribution": step.plugin.entry.distribution,
            "version": step.plugin.entry.version,
            "settings": step.settings_json,
            "inputs": inputs,
            "release": common.name,
            # A measurement holds wherever the model goes and whatever is said of it.
            "base": None if step.measures else common.base,
            "leave_behind": common.leave_behind,
            "facts": common.facts() if step.tells else None,
            "model_id": step.model_id if step.tells else "",
            "sections": [
                [part.spec.run, part.kind, part.plugin.entry.version, part.settings_json]
                for part in step.sections
            ],
            "target": [step.destination, step.target],
        }
    )
