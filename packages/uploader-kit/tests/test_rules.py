"""Rules have numbers, pages and tiers, and a tier follows from what came of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from uploader_kit import (
    ConvertConformance,
    DocumentConformance,
    ExecutorConformance,
    PluginConformance,
    SaveConformance,
    UploadConformance,
)
from uploader_kit.rules import ABOUT, RULES
from uploader_kit.tiers import Outcome, tier_of

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rules.md"
CLASSES = {
    "plugin": PluginConformance,
    "SaveSpec": SaveConformance,
    "ConvertSpec": ConvertConformance,
    "DocumentSpec": DocumentConformance,
    "UploadSpec": UploadConformance,
    "ExecutorSpec": ExecutorConformance,
}


@pytest.mark.parametrize("about", CLASSES)
def test_every_check_is_a_rule(about: str) -> None:
    checks = {name for name in dir(CLASSES[about]) if name.startswith("test_")}
    assert {rule.check for rule in ABOUT[about]} == checks


def test_every_rule_has_its_own_entry_on_the_page() -> None:
    entries = re.findall(r"^### (R\d+)\n\n`(\w+)`, (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert entries == [(rule.number, rule.check, rule.tier) for rule in RULES]
    assert len({number for number, _, _ in entries}) == len(RULES)


def outcomes() -> Iterator[Outcome]:
    for rule in ABOUT["SaveSpec"]:
        yield Outcome(
            rule=rule.number,
            subject="TestX",
            about="SaveSpec",
            spec="x:x",
            check=rule.check,
            outcome="passed",
        )


SPECS = {"x:x": "SaveSpec"}


def after(rule: str, outcome: str, why: str = "") -> tuple[str, list[str]]:
    changed = [replace(o, outcome=outcome, why=why) if o.rule == rule else o for o in outcomes()]
    return tier_of(changed, SPECS)


def test_all_rules_make_platinum() -> None:
    assert tier_of([*outcomes()], SPECS) == ("platinum", [])


@pytest.mark.parametrize(
    ("rule", "outcome", "why", "tier"),
    [
        ("R201", "failed", "it raised", "none"),
        ("R207", "expected", "a library's own clock", "bronze"),
        ("R215", "announced", "said 1, wrote 2", "silver"),
        ("R205", "skipped", "not tried: strace is not installed", "gold"),
        ("R211", "skipped", "a worker of its own is told", "platinum"),
    ],
)
def test_rule_that_does_not_hold_ends_the_tiers(
    rule: str, outcome: str, why: str, tier: str
) -> None:
    found, lacking = after(rule, outcome, why)
    assert found == tier
    assert lacking == ([] if tier == "platinum" else [f"{rule} x:x: {why}"])


def test_rule_that_was_left_out_does_not_hold() -> None:
    some = [outcome for outcome in outcomes() if outcome.rule != "R202"]
    assert tier_of(some, SPECS) == ("none", ["R202 x:x: not in the report"])


def test_spec_that_nobody_tries_has_no_tier() -> None:
    found = tier_of([*outcomes()], {**SPECS, "x:send": "UploadSpec"})
    assert found == ("none", ["x:send: no class of the kit tries it"])
