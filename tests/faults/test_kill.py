"""kill -9 at any moment: nothing torn under a final name, and the same release in the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fault_tools import TARGETS, publish, release_of
from uploader_kit.faults import Campaign

KILLS = int(os.environ.get("UPLOADER_FAULT_KILLS", "40"))
"""For each of the five targets, in the full campaign."""


def test_a_few_kills(pristine: Path, tmp_path: Path) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    kinds = ("lora", "merged-16bit")
    command = publish(pristine / "run" / "final_model", kinds, release, copy)
    tally = Campaign(command, release, copy).run(kills=6, seed=20)
    assert tally.problems == []
    assert tally.redone <= 1


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_kills_of_each_format_and_of_the_upload(
    pristine: Path, tmp_path: Path, target: str
) -> None:
    command, folders = release_of(pristine / "run" / "final_model", target, tmp_path)
    tally = Campaign(command, *folders).run(kills=KILLS, seed=TARGETS.index(target))
    print(f"{target}: {tally}")
    assert tally.problems == []
    assert tally.redone <= 1
