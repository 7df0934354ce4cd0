"""``uploader`` alone: the runs that it finds, and a session by keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terminal import CTRL_C, DOWN, ENTER, SPACE, Terminal
from uploader_core.builtin.local_source.training_runs import find_runs

UPLOADER = [sys.executable, "-m", "uploader_core"]


def make_run(folder: Path, *, finished: str | None = None, loss: float = 1.0) -> Path:
    """Leave what a trainer leaves, but for the weights' content."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    if finished:
        (folder / "training_lineage.json").write_text(
            json.dumps({"finished_at": finished, "results": {"final_loss": loss, "steps": 7}})
        )
    return folder


def test_newest_run_comes_first(tmp_path: Path) -> None:
    for day in ("03", "01", "02"):
        make_run(tmp_path / f"2026{day}" / "final_model", finished=f"2026-01-{day}T10:00:00+00:00")
    runs = find_runs([tmp_path])
    assert [run.path.parent.name for run in runs] == ["202603", "202602", "202601"]
    assert {(run.base, run.loss, run.steps) for run in runs} == {("org/base", 1.0, 7)}


def test_checkpoints_count_only_without_a_final_model(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", "final_model"):
        make_run(tmp_path / "whole" / name)
    for name in ("checkpoint-9", "checkpoint-10"):
        make_run(tmp_path / "broken-off" / name)
    found = {run.path.relative_to(tmp_path).as_posix() for run in find_runs([tmp_path])}
    assert found == {"whole/final_model", "broken-off/checkpoint-10"}


def test_loss_and_steps_are_read_from_the_state_of_older_trainers(tmp_path: Path) -> None:
    make_run(tmp_path / "run" / "final_model")
    make_run(tmp_path / "run" / "checkpoint-8")
    (tmp_path / "run" / "checkpoint-8" / "trainer_state.json").write_text(
        json.dumps({"global_step": 8, "log_history": [{"loss": 3.0}, {"loss": 2.5}, {"lr": 1}]})
    )
    (run,) = find_runs([tmp_path])
    assert (run.loss, run.steps) == (2.5, 8)


def test_releases_bases_and_hidden_folders_are_no_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "release" / "lora")
    (tmp_path / "release" / ".uploader").mkdir()
    make_run(tmp_path / ".cache" / "final_model")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    assert find_runs([tmp_path]) == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"results": 3, "finished_at": 4}'])
def test_damaged_lineage_hides_no_run(tmp_path: Path, content: str) -> None:
    run = make_run(tmp_path / "run" / "final_model")
    (run / "training_lineage.json").write_text(content)
    assert len(find_runs([tmp_path])) == 1


def test_without_a_terminal_it_says_what_to_type(sft_model: Path) -> None:
    result = subprocess.run(UPLOADER, cwd=sft_model.parents[1], capture_output=True, text=True)
    path = sft_model.relative_to(sft_model.parents[1])
    assert result.returncode == 2
    assert "tiny-base" in result.stdout and "5 steps" in result.stdout
    assert f"  uploader run {path} --plugins lora,gguf --to hf:YOU/YOUR-MODEL" in result.stdout


@pytest.fixture
def trainer(sft_model: Path, tmp_path: Path) -> Iterator[Path]:
    pytest.importorskip("pexpect")
    pytest.importorskip("pyte")
    pytest.importorskip("questionary")
    folder = tmp_path / "trainer"
    shutil.copytree(sft_model.parent, folder / "sft_output_rtx3090" / sft_model.parent.name)
    old = folder / "sft_output_rtx3090" / "20200101_000000" / "final_model"
    make_run(old, finished="2020-01-01T00:00:00+00:00", loss=9.5)
    yield folder


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal of POSIX")
def test_release_to_a_hub_by_keys_alone(trainer: Path, hub: Any) -> None:
    from huggingface_hub import HfApi

    terminal = Terminal(UPLOADER, trainer)
    screen = terminal.wait_for("9.5")
    assert screen.index("tiny-base") < screen.index("2020-01-01")  # newest first
    terminal.type(ENTER)
    screen = terminal.wait_for("merged-4bit")
    assert "Q4_K_M" in screen and "kB" in screen and "about" in screen
    # Of what is made by default only the first stays: gguf.
    terminal.type(DOWN, SPACE, DOWN, SPACE, ENTER)
    terminal.wait_for("Where to?")
    terminal.type(DOWN)
    if "» hf" not in terminal.wait_for("» "):
        terminal.type(DOWN)
    terminal.type(ENTER)
    terminal.wait_for("USER/NAME")
    terminal.type("me/guided", ENTER)
    terminal.wait_for("Who may see it?")
    terminal.type(ENTER)
    screen = terminal.wait_for("Go ahead?")
    assert "--plugins gguf --to hf:me/guided" in "".join(screen.split("\n"))
    terminal.type(ENTER)
    assert terminal.end() == 0, terminal.text()
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    assert any(name.endswith(".gguf") for name in api.list_repo_files("me/guided-GGUF"))
    assert api.repo_info("me/guided-GGUF").private
    assert max(len(line) for line in terminal.text().splitlines()) <= 80


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal of POSIX")
def test_ctrl_c_at_a_question_changes_nothing(trainer: Path) -> None:
    before = sorted(trainer.rglob("*"))
    terminal = Terminal(UPLOADER, trainer)
    terminal.wait_for("Which run?")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert sorted(trainer.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal of POSIX")
def test_no_run_says_what_to_type(tmp_path: Path, trainer: Path) -> None:
    (tmp_path / "empty").mkdir()
    terminal = Terminal(UPLOADER, tmp_path / "empty")
    assert terminal.end() == 2
    assert "uploader run PATH_TO/final_model" in terminal.text()
