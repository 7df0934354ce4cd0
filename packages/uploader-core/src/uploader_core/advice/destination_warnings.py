"""What a user should know of where a release goes, from what destinations declare."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from uploader_core.capability import declared
from uploader_core.contract.specs import Finding, UploadSpec
from uploader_core.planning.plan import Plan

_CANNOT = {
    "private": "what goes to {} can be read by everybody who reaches it",
    "atomic": "while a release is sent to {}, others see the part that is there",
    "revision": "a release at {} is replaced by the next one, and its address then means that",
}


def destination_warnings(plan: Plan, kept: Collection[str]) -> Iterator[Finding]:
    """Say what a destination declares that it cannot do; of what is partly so, its own words.

    What it does not take of the release is said as well: nobody looks for it there otherwise.

    Args:
        plan: Prepared.
        kept: Steps that will not run.
    """
    said: set[tuple[str, str]] = set()
    for step in plan.uploads:
        if step.id in kept or not isinstance(step.spec, UploadSpec):
            continue
        for name, capability in declared(step.spec.capabilities).items():
            scheme = f"{step.spec.scheme}:"
            if capability.degree == "full" or name not in _CANNOT or (scheme, name) in said:
                continue
            said.add((scheme, name))
            partly = capability.degree == "partial"
            what = f"{scheme} is only partly {name}" if partly else _CANNOT[name].format(scheme)
            yield Finding(
                level="warning" if name == "private" and not partly else "note",
                what=f"{what}: {capability.note}" if capability.note else what,
            )
    yield from _left_here(plan)


def _left_here(plan: Plan) -> Iterator[Finding]:
    """Say which formats of the release a destination does not take."""
    brought: dict[str, set[str]] = {}
    takes: dict[str, str] = {}
    for step in plan.uploads:
        brought.setdefault(step.destination or "", set()).update(step.inputs)
        if isinstance(step.spec, UploadSpec) and step.spec.accepts is not None:
            takes[step.destination or ""] = ", ".join(step.spec.accepts)
    for destination, kinds in takes.items():
        there = brought[destination]
        left = [s.kind for s in plan.artifacts if s.needed_by is None and s.id not in there]
        if left:
            yield Finding(
                level="warning",
                what=f"{', '.join(left)} does not go to {destination}, which takes {kinds}",
            )
