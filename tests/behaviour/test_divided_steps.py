"""Steps whose work splits come out the same, however many workers make them and wherever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader_core.destinations.verify import verify_folder
from uploader_kit.faults import digests

KINDS = "lora,merged-16bit,merged-4bit"
SHARDS = ("--merged-shard-size", "100KB")


@pytest.fixture(scope="module")
def undivided(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a release that one worker made."""
    from uploader_command import Uploader

    folder = tmp_path_factory.mktemp("undivided")
    uploader = Uploader(folder)
    made = uploader("run", pristine / "run" / "final_model", "--plugins", KINDS, *SHARDS,
                    "--name", "tiny", "--output", folder / "tiny", "--yes")  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert len([*(folder / "tiny" / "merged-16bit").glob("*.safetensors")]) > 2
    return digests(folder / "tiny")


@pytest.mark.parametrize("how", [("--jobs", "3"), ("--executor", "local", "--jobs", "2")])
def test_release_of_several_workers_is_that_of_one(
    how: tuple[str, ...], undivided: dict[str, str], fine_tune: Path, uploader: Any, tmp_path: Path
) -> None:
    uploader.environment["UPLOADER_LEAST_PIECE"] = "1"
    release = tmp_path / "tiny"
    made = uploader("run", fine_tune, "--plugins", KINDS, *SHARDS, "--name", "tiny",
                    "--output", release, "--yes", *how)  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert digests(release) == undivided
    assert verify_folder(release).problems == ()


@pytest.mark.slow
def test_kinds_are_measured_side_by_side(fine_tune: Path, uploader: Any, tmp_path: Path) -> None:
    release = tmp_path / "tiny"
    made = uploader("run", fine_tune, "--plugins", "compressed", "--name", "tiny", "--yes",
                    "--compressed-kinds", "fp8-dynamic,w4a16", "--compressed-measure-contexts", "2",
                    "--measure", "--jobs", "2", "--output", release)  # fmt: skip
    assert made.returncode == 0, made.stderr
    lines = (release / ".uploader" / "events.jsonl").read_text("utf-8").splitlines()
    seen = [
        event["type"]
        for event in map(json.loads, lines)
        if "fidelity@" in event["step"] and event["type"] in ("step_started", "step_done")
    ]
    assert seen == ["step_started", "step_started", "step_done", "step_done"]
