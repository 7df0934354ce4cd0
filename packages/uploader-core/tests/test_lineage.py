"""What is published of a training: facts on an allow-list, nothing about people and machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steady import STEADY
from uploader_core.lineage import POINTS, fact_files, read_lineage
from uploader_core.redact import Redactor

CARD = """---
base_model: Qwen/Qwen3-0.6B
datasets: [trl-lib/Capybara, /home/alice/data]
tags: [trl, sft, "Alice's"]
---
### Framework versions

- TRL: 0.25.1
- Transformers: 5.1.0
- Datasets: 4.4.1
- Host: 10.0.0.7
"""
TOLD = {
    "trainer": "SFTTrainer",
    "output_dir": "/home/alice/runs/final_model",
    "host": "bob-pc",
    "api_key": "abc",
    "hyperparameters": {
        "learning_rate": 2e-4,
        "num_train_epochs": 3,
        "optim": "adamw_8bit",
        "data_path": "C:\\Users\\Alice Smith\\data.jsonl",
        "method": "QLoRA by alice, see /home/alice/my notes/sft.md",
    },
    "dataset": {"name": "acme/questions", "path": "data/train.jsonl"},
    "hardware": {"gpu_name": "NVIDIA GeForce RTX 3090", "gpu_count": 1, "hostname": "bob-pc"},
    "versions": {"torch": "2.9.0+cu128", "secret_tool": "1.0"},
}
CONFIG = {"peft_type": "LORA", "r": 16, "target_modules": ["q_proj"], "revision": None,
          "peft_version": "0.18.0"}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A trainer's folder: the adapter in ``final_model``, checkpoints beside it."""
    final = tmp_path / "run" / "final_model"
    final.mkdir(parents=True)
    (final / "README.md").write_text(CARD)
    (final / "training_lineage.json").write_text(json.dumps(TOLD))
    (final / "adapter_config.json").write_text(json.dumps(CONFIG))
    for step in (9, 10):
        log = [{"step": n, "loss": 3.0 - n / 10, "learning_rate": 1e-4} for n in range(1, step + 1)]
        log.append({"step": step, "eval_loss": 2.5, "note": "/home/alice", "bad": float("nan")})
        state = {"global_step": step, "epoch": 3.0, "log_history": log}
        (tmp_path / "run" / f"checkpoint-{step}").mkdir()
        (tmp_path / "run" / f"checkpoint-{step}" / "trainer_state.json").write_text(
            json.dumps(state)
        )
    return final


BESIDE = """---
base_model: acme/base
datasets: acme/answers
tags: [generated_from_trainer, dpo]
---
It has been trained using [TRL](https://github.com/huggingface/trl).

- Tokenizers: 0.22.1
- TRL: 0.1
"""


def known(folder: Path) -> dict[str, Any]:
    return read_lineage({"adapter": folder}).to_json()


def test_facts_of_all_files_come_together(run: Path) -> None:
    facts = known(run)
    method = {"peft_type": "LORA", "r": 16, "target_modules": ["q_proj"], "peft_version": "0.18.0"}
    assert facts["method"] == method
    assert facts["training"]["learning_rate"] == 2e-4
    assert facts["training"]["optim"] == "adamw_8bit"
    assert facts["hardware"] == {"gpu_name": "NVIDIA GeForce RTX 3090", "gpu_count": 1}
    assert facts["software"] == {
        "datasets": "4.4.1",
        "peft": "0.18.0",
        "torch": "2.9.0+cu128",
        "transformers": "5.1.0",
        "trl": "0.25.1",
    }
    assert facts["datasets"] == ["trl-lib/Capybara", "acme/questions"]
    assert facts["tags"] == ["trl", "sft"]


def test_state_beside_the_model_has_the_last_word(run: Path) -> None:
    """It is written at the end, with the mean of the loss and the time."""
    log = [{"step": 10, "loss": 2.0}, {"step": 10, "train_loss": 2.4, "train_runtime": 61.5}]
    final = run.parent / "trainer_state.json"
    final.write_text(json.dumps({"global_step": 10, "log_history": log}))
    assert known(run)["results"]["train_runtime"] == 61.5
    final.write_text(json.dumps({"global_step": 4, "log_history": log}))
    assert "train_runtime" not in known(run)["results"]


def test_card_that_the_trainer_wrote_beside_the_model_completes_its_own(run: Path) -> None:
    beside = run.parent / "README.md"
    beside.write_text(BESIDE)
    facts = known(run)
    assert facts["datasets"] == ["trl-lib/Capybara", "acme/answers", "acme/questions"]
    assert facts["tags"] == ["trl", "sft", "generated_from_trainer", "dpo"]
    assert (facts["software"]["tokenizers"], facts["software"]["trl"]) == ("0.22.1", "0.25.1")
    assert beside in fact_files({"adapter": run})
    beside.write_text("# My notes\n\n- Tokenizers: 0.22.1\n")
    assert "tokenizers" not in known(run)["software"]
    assert beside not in fact_files({"adapter": run})


def test_results_are_those_of_the_newest_checkpoint(run: Path) -> None:
    facts = known(run)
    assert facts["results"] == {"loss": 2.0, "eval_loss": 2.5, "steps": 10, "epochs": 3.0}
    assert facts["history"][0] == {"step": 1, "loss": 2.9, "learning_rate": 1e-4}
    assert facts["history"][-1] == {"step": 10, "eval_loss": 2.5}


@pytest.mark.parametrize(
    "word", ["alice", "smith", "bob", "/home", "users", "secret", "api", "note"]
)
def test_people_machines_and_unknown_names_stay_at_home(run: Path, word: str) -> None:
    assert word not in json.dumps(known(run)).lower()


def test_a_folder_without_facts_says_nothing(tmp_path: Path) -> None:
    assert known(tmp_path) == {}
    assert known(tmp_path / "absent") == {}


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", '{"log_history": [3, {"step": "x"}]}'])
def test_files_that_are_not_what_they_should_be_say_nothing(tmp_path: Path, content: str) -> None:
    for name in ("training_lineage.json", "trainer_state.json", "adapter_config.json"):
        (tmp_path / name).write_text(content)
    (tmp_path / "README.md").write_text(f"---\n{content}: [\n---\n")
    assert known(tmp_path) == {}


def test_a_long_history_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    log = [{"step": n, "loss": float(n)} for n in range(7 * POINTS)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    history = known(tmp_path)["history"]
    assert len(history) == POINTS
    assert (history[0], history[-1]) == (log[0], log[-1])


def test_facts_are_looked_for_in_small_files_only(run: Path) -> None:
    (run / "adapter_model.safetensors").write_bytes(b"")
    (run / "LICENSE").write_text("x")
    assert [path.name for path in fact_files({"adapter": run})] == [
        "LICENSE",
        "README.md",
        "adapter_config.json",
        "training_lineage.json",
        "trainer_state.json",
    ]


PEOPLE = st.text("bcdfghjklmnpqrstvwxz", min_size=6, max_size=12)
PATHS = st.sampled_from(
    ["/home/{}/x", "/Users/{}/my runs/x y/z", "C:\\Users\\{}\\x", "c:/Users/{}/x", "\\\\nas\\{}\\x",
     "~{}/runs", "file:///srv/{}/x", "/mnt/data/{}", "/{}"]
)  # fmt: skip
AROUND = st.sampled_from(["{}", "see {} for more", '"{}"', "base={}", "a,b ({})", "x: {}; y"])


@STEADY
@given(PEOPLE, PATHS, AROUND)
def test_no_path_survives(person: str, path: str, around: str) -> None:
    text = around.format(path.format(person))
    assert person not in Redactor([text])(text)


@STEADY
@given(PEOPLE)
def test_a_name_in_a_path_is_taken_out_everywhere(person: str) -> None:
    redact = Redactor([f"/home/{person}/x"])
    assert redact(f"trained by {person.title()}, {person}_2") == "trained by [name], [name]_2"


@pytest.mark.parametrize(
    "text",
    ["all-linear", "user/model", "1/2", "2026-11-23 12:00:00", "adamw_8bit", "A100-SXM4/80GB",
     r"^model\.layers\.[0-9]+\.(q|k)_proj$", "https://huggingface.co/datasets/a/b", "2.9.0+cu128"],
)  # fmt: skip
def test_what_tells_nothing_stays(text: str) -> None:
    assert Redactor()(text) == text
