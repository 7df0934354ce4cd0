"""The tier of a plugin: computed from what came of every rule, never claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from uploader_core.untrusted_json import JsonData
from uploader_kit.announcing import NOT_TRIED
from uploader_kit.rules import ABOUT, TIERS, Rule

NONE = "none"
"""In place of a tier where not even the lowest is reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome(JsonData):
    """What came of one check.

    Attributes:
        rule: Number; "" for an author's own check.
        subject: Class that tried it.
        about: Type of the spec (``ConvertSpec``), or ``plugin``.
        spec: Plugin id and name of the spec, ``onnx:onnx``; the plugin's id alone for itself.
        check: In words.
        outcome: As in a verdict.
        why: For everything but ``passed``.
        seconds: Wall time.
    """

    rule: str
    subject: str
    about: str
    spec: str
    check: str
    outcome: str
    why: str = ""
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the rule holds: it passed, or is not about such a step."""
        return self.outcome == "passed" or (
            self.outcome == "skipped" and not self.why.startswith(NOT_TRIED)
        )


def tier_of(outcomes: Sequence[Outcome], specs: Mapping[str, str]) -> tuple[str, list[str]]:
    """Compute the tier of a plugin.

    A rule that was left out, is not tried here, or is expected to fail does not hold; a spec that
    no class tries has no tier.

    Args:
        outcomes: Of every check.
        specs: Type of each spec by its name as in :attr:`Outcome.spec`.

    Returns:
        The tier, and what the next one lacks.
    """
    lacking = {tier: [*_lacking(outcomes, specs, tier)] for tier in TIERS}
    reached = NONE
    for tier in TIERS:
        if lacking[tier]:
            return reached, lacking[tier]
        reached = tier
    return reached, []


def _lacking(outcomes: Sequence[Outcome], specs: Mapping[str, str], tier: str) -> Iterable[str]:
    for spec, about in specs.items():
        of_spec = [outcome for outcome in outcomes if outcome.spec == spec]
        if not of_spec:
            yield f"{spec}: no class of the kit tries it"
            continue
        for rule in ABOUT[about]:
            if rule.tier == tier and (why := _why_not(rule, of_spec)):
                yield f"{rule.number} {spec}: {why}"


def _why_not(rule: Rule, outcomes: Iterable[Outcome]) -> str:
    tried = [outcome for outcome in outcomes if outcome.rule == rule.number]
    if not tried:
        return "not in the report"
    return next((o.why or o.outcome for o in tried if not o.holds), "")
