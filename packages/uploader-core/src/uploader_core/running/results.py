"""What a run knows of its sources and steps: artifacts with digests, records, keys."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.sources import STACK
from uploader_core.manifest.build import Facts, manifest_of_place
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.release.record import Record
from uploader_core.running.step_key import digest_facts, step_key


class Results:
    """Holds what the survey found, then what every step adds when it is done.

    Args:
        plan: What runs; only its sources and its release matter.
        sources: Source artifacts with their digests, by kind.

    Attributes:
        records: Of the steps that are done, by step id.
        kept: Ids of the steps that need not run, virtual ones among them.
        virtual: What the virtual steps made, by step id.
        unread: Ids of steps whose files are believed by size and time, and were not read.
    """

    def __init__(self, plan: Plan, sources: Mapping[str, Artifact]) -> None:
        self.sources = sources
        self.records: dict[str, Record] = {}
        self.kept: set[str] = set()
        self.unread: set[str] = set()
        self.virtual: dict[str, Artifact] = {}
        self._plan = plan
        self._made = {f"source:{kind}": artifact for kind, artifact in sources.items()}
        self._keys: dict[str, str] = {}

    def keep(self, record: Record, *, read: bool) -> None:
        """Take the record of a step that need not run.

        Args:
            record: Of an earlier run.
            read: Whether its files were read now.
        """
        self.kept.add(record.step)
        self.add(record)
        if not read:
            self.unread.add(record.step)

    def add(self, record: Record) -> None:
        """Take the record of a step that is done."""
        self.records[record.step] = record
        if record.artifact is not None:
            self._made[record.step] = record.artifact

    def add_virtual(self, step: PlannedStep, artifact: Artifact) -> None:
        """Take what a virtual step made."""
        self.virtual[step.id] = self._made[step.id] = artifact

    @functools.cached_property
    def facts(self) -> Facts:
        """What a manifest tells of all this."""
        return Facts(sources=self.sources, records=self.records)

    def inputs(self, step: PlannedStep) -> tuple[Artifact, ...]:
        """Return what a step consumes; all of it is there when the step may start."""
        return tuple(self._made[source] for source in step.inputs)

    def has_key(self, step: PlannedStep) -> bool:
        """Say whether everything that a step consumes is known, so that it has a key."""
        return self._made.keys() >= {*step.inputs}

    def key(self, step: PlannedStep) -> str:
        """Return the digest of everything that a step's result depends on."""
        if step.id not in self._keys:
            inputs = [part for source in step.inputs for part in self._key_parts(source)]
            inputs += manifest_of_place(self._plan, step, self.facts)
            self._keys[step.id] = step_key(
                step, inputs, self._plan.release, self._facts if step.tells else None
            )
        return self._keys[step.id]

    @functools.cached_property
    def _facts(self) -> list[Json]:
        return digest_facts(self._plan.source_folders)

    def _key_parts(self, source: str) -> list[Json]:
        """Return what the key of a step takes from one of its inputs."""
        if source in self._keys and source not in self.records:
            return [self._keys[source]]
        artifact = self._made[source]
        parts: list[Json] = [[[f.name, f.sha256] for f in artifact.files]]
        if source == f"source:{STACK}":
            parts.append(artifact.metadata["adapters"])
        return parts
