"""A batch that is killed goes on, and each of its releases is what a run alone would make."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from fault_tools import uploader
from uploader_kit.faults import Campaign, digests

KILLS = int(os.environ.get("UPLOADER_BATCH_KILLS", "20"))

QUANTS = "Q4_K_M"


def fine_tunes(pristine: Path, place: Path, count: int) -> list[Path]:
    """Return adapters of one base with different weights."""
    found = []
    shutil.copytree(pristine / "base", place / "base")  # which the adapters name as ../../base
    for number in range(count):
        folder = place / "runs" / f"tune-{number}"
        shutil.copytree(pristine / "run" / "final_model", folder)
        weights = load_file(folder / "adapter_model.safetensors")
        changed = {name: value * (1 + number / 8) for name, value in weights.items()}
        save_file(changed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        found.append(folder)
    return found


def batch(adapters: list[Path], kinds: str, place: Path) -> list[str]:
    """Return the command that releases them, two side by side, to ``out``."""
    runs = "".join(f'[[run]]\nsource = "{folder}"\n' for folder in adapters)
    (place / "RUNS.toml").write_text(
        f'[defaults]\nplugins = "{kinds}"\noutput = "out/{{name}}"\n'
        f'[defaults.gguf]\nquants = "{QUANTS}"\n{runs}',
        "utf-8",
    )
    return uploader("batch", place / "RUNS.toml", "--at-once", "2", "--quiet")


def test_a_few_kills_of_a_batch(pristine: Path, tmp_path: Path) -> None:
    command = batch(fine_tunes(pristine, tmp_path, 2), "lora", tmp_path)
    tally = Campaign(command, tmp_path / "out", places=2).run(kills=2, seed=3)
    assert tally.problems == []


@pytest.mark.slow
def test_kills_of_a_batch_of_five(pristine: Path, tmp_path: Path) -> None:
    kinds = "lora,merged-16bit,gguf"
    adapters = fine_tunes(pristine, tmp_path, 5)
    campaign = Campaign(batch(adapters, kinds, tmp_path), tmp_path / "out", places=2)
    for folder in adapters:
        release = tmp_path / "out" / folder.name
        alone = uploader("run", folder, "--plugins", kinds, "--gguf-quants", QUANTS,
                         "--output", release, "--yes", "--quiet")  # fmt: skip
        subprocess.run(alone, check=True)
    assert digests(tmp_path / "out") == campaign.calm
    campaign.clear()
    tally = campaign.run(kills=KILLS, seed=21)
    print(f"batch: {tally}")
    assert tally.problems == []
