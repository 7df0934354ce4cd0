"""Output folders as axolotl, LLaMA-Factory and Unsloth leave them, as docs/recipes.md has them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STATE = {"global_step": 60, "log_history": [{"loss": 2.5, "step": 30}, {"loss": 1.5, "step": 60}]}
CARD = """---
library_name: peft
tags: [{tag}, generated_from_trainer]
---
<!-- This model card has been generated automatically according to the information the Trainer had
access to. -->
"""


def checkpoint(adapter: Path, folder: Path) -> None:
    """Leave what a Trainer saves every few steps."""
    folder.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, folder / name)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        (folder / name).write_bytes(b"\x80\x04.")
    (folder / "trainer_state.json").write_text(json.dumps(STATE))


def axolotl(adapter: Path, root: Path) -> Path:
    """``output_dir`` of axolotl: a configuration of the base lies beside the adapter."""
    folder = root / "outputs" / "lora-out"
    shutil.copytree(adapter, folder)
    config = json.loads((root / "base" / "config.json").read_text("utf-8"))
    # A base that was loaded in 4 bits for QLoRA says so here; the adapter's base does not.
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(CARD.format(tag="axolotl"))
    (folder / "debug.log").write_text("HF_TOKEN=...")
    for step in (50, 60):
        checkpoint(adapter, folder / f"checkpoint-{step}")
    return folder


def llama_factory(adapter: Path, root: Path) -> Path:
    """``output_dir`` of LLaMA-Factory: results, curves and logs beside the adapter."""
    folder = root / "saves" / "tiny" / "lora" / "sft"
    shutil.copytree(adapter, folder)
    (folder / "README.md").write_text(CARD.format(tag="llama-factory"))
    for name in ("all_results.json", "train_results.json"):
        (folder / name).write_text(json.dumps({"train_loss": 1.9, "total_flos": 1}))
    (folder / "trainer_state.json").write_text(json.dumps(STATE))
    (folder / "trainer_log.jsonl").write_text('{"loss": 1.5}\n')
    (folder / "training_loss.png").write_bytes(b"\x89PNG")
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")
    (folder / "training_args.yaml").write_text("stage: sft\n")
    checkpoint(adapter, folder / "checkpoint-60")
    return folder


def unsloth(adapter: Path, root: Path) -> Path:
    """``model.save_pretrained("lora_model")``, beside the checkpoints in ``outputs``."""
    folder = root / "lora_model"
    shutil.copytree(adapter, folder)
    (folder / "README.md").write_text(CARD.format(tag="unsloth"))
    checkpoint(adapter, root / "outputs" / "checkpoint-60")
    return folder


@pytest.mark.parametrize("trainer", [axolotl, llama_factory, unsloth], ids=lambda t: t.__name__)
def test_folder_is_released_as_it_lies(
    uploader: Any, fine_tune: Path, trainer: Callable[[Path, Path], Path]
) -> None:
    root = fine_tune.parents[1]
    folder = trainer(fine_tune, root)
    release = uploader.cwd / "release"
    result = uploader("run", folder, "--plugins", "lora,merged-16bit", "--output", release,
                      "--base", root / "base")  # fmt: skip
    assert result.returncode == 0, result.stderr
    written = {"README.md", "training_lineage.json", "training_loss.png"}  # by documents of ours
    assert {p.name for p in (release / "lora").iterdir()} - written == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    curve = release / "lora" / "training_loss.png"
    assert not curve.exists() or curve.stat().st_size > 1000  # ours and not the trainer's
    config = json.loads((release / "merged-16bit" / "config.json").read_text("utf-8"))
    assert "quantization_config" not in config
    if trainer is not unsloth:  # whose checkpoints lie elsewhere
        lineage = json.loads((release / "training_lineage.json").read_text("utf-8"))
        assert (lineage["results"]["steps"], lineage["history"][-1]["loss"]) == (60, 1.5)


def test_folder_around_it_names_what_was_saved_last(uploader: Any, fine_tune: Path) -> None:
    out = uploader.cwd / "out"
    for step in (50, 1000):
        checkpoint(fine_tune, out / f"checkpoint-{step}")
    for expected in (out / "checkpoint-1000", out / "final_model"):
        result = uploader("plan", out)
        assert result.returncode == 4
        assert f"uploader run {expected}\n" in result.stderr
        shutil.copytree(fine_tune, out / "final_model", dirs_exist_ok=True)
    runs = uploader.cwd / "sft_output_rtx3090"
    for day in ("20260102_080000", "20260103_080000"):
        checkpoint(fine_tune, runs / day / "checkpoint-9")
        shutil.copytree(fine_tune, runs / day / "final_model")
    result = uploader("plan", runs)
    assert f"uploader run {runs / '20260103_080000' / 'final_model'}\n" in result.stderr
