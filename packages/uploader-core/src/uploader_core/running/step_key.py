"""The key of a step: equal key, equal result."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.contract.context import ReleaseInfo
from uploader_core.contract.named_files import digest_named
from uploader_core.contract.settings import key_of
from uploader_core.disk.safe_write import hash_file
from uploader_core.lineage import fact_files
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import Entry, editable_place
from uploader_core.release.record import canonical_digest


def digest_facts(folders: Mapping[str, Path]) -> list[Json]:
    """Digest what documents may draw on: a changed README of the source makes a new card.

    Args:
        folders: Of the sources, by kind.
    """
    return [[path.name, hash_file(path)[1]] for path in fact_files(folders)]


@functools.cache
def _edition_of(entry: Entry) -> Json:
    """Return what tells two states of a plugin's code apart.

    The version of an editable distribution stays the same from edit to edit, so the files of its
    package count as well.
    """
    place = editable_place(entry.distribution, entry.module)
    return entry.version if place is None else [entry.version, digest_named(place, True)]


def step_key(
    step: PlannedStep, inputs: list[Json], release: ReleaseInfo, facts: list[Json] | None
) -> str:
    """Digest everything that a step's result depends on.

    Args:
        step: As planned.
        inputs: Names and digests of what it consumes.
        release: What the run is about.
        facts: Of :func:`digest_facts`, for a step that says what records and sources say.
    """
    base: list[Json] = [release.base_model, release.base_is_hub_id, release.base_revision]
    return canonical_digest(
        {
            "step": step.id,
            "run": step.spec.run,
            "distribution": step.plugin.entry.distribution,
            "version": _edition_of(step.plugin.entry),
            "settings": key_of(step.plugin.id, step.settings),
            **({"secrets": step.secrets_digest} if step.secrets_digest else {}),
            "inputs": inputs,
            "release": release.name,
            # A measurement holds wherever the model goes and whatever is said of it.
            "base": None if step.measures else base,
            "leave_behind": [*sorted(release.leave_behind)],
            "facts": facts,
            "model_id": step.model_id if step.tells else "",
            "sections": [
                [part.run, part.kind, part.owner, key_of(part.plugin, part.settings.build())]
                for part in step.sections
            ],
            "target": [step.destination, step.target],
        }
    )
