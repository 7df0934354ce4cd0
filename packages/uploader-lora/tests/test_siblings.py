"""What lies next to a model may be what the user meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from uploader_lora.siblings import sibling_findings


@pytest.mark.parametrize(
    "best", ["/content/out/checkpoint-10", "C:\\out\\checkpoint-10", "checkpoint-10/"]
)
def test_checkpoint_that_is_not_the_best_one(best: str, tmp_path: Path) -> None:
    """Trainer keeps the name of the folder as the machine of the training saw it."""
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    (tmp_path / "checkpoint-10").mkdir()
    state = {"best_model_checkpoint": best, "best_metric": 1.25}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (finding,) = sibling_findings(folder)
    assert "checkpoint-10 was the best (best_metric 1.25)" in finding.what
    assert str(tmp_path / "checkpoint-10") in str(finding.next)


@pytest.mark.parametrize("best", [None, "out/checkpoint-20", 10])
def test_best_or_no_best_checkpoint_is_nothing_to_speak_of(best: object, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best}))
    assert not [*sibling_findings(folder)]


def test_second_adapter_is_named_and_dpo_s_reference_is_not(adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for inside in ("second", "ref", "checkpoint-5"):
        shutil.copytree(adapter, folder / inside)
    (finding,) = sibling_findings(folder)
    assert finding.what == "other adapters are in second, and are no part of this release"
