"""Folders that nothing can be released from: one refusal each, whatever formats are installed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json


def fsdp(adapter: Path, base: Path) -> Path:
    """``output_dir`` of a Trainer under FSDP with SHARDED_STATE_DICT."""
    import torch.distributed.checkpoint as dcp
    from transformers import AutoModelForCausalLM

    shards = adapter.parent / "sharded" / "checkpoint-10" / "pytorch_model_fsdp_0"
    shards.mkdir(parents=True)
    state = AutoModelForCausalLM.from_pretrained(base).state_dict()
    # What accelerate's save_fsdp_model does on each process.
    dcp.save({"model": state}, storage_writer=dcp.FileSystemWriter(shards))
    (shards.parent / "trainer_state.json").write_text("{}")
    return shards.parents[1]


def deepspeed(adapter: Path, base: Path) -> Path:
    folder = adapter.parent / "checkpoint-10"
    (folder / "global_step10").mkdir(parents=True)
    (folder / "global_step10" / "zero_pp_rank_0_mp_rank_00_model_states.pt").write_bytes(b"x")
    shutil.copy(base / "config.json", folder)
    return folder


def mlx(adapter: Path, base: Path) -> Path:
    """Whole weights that mlx-lm trained."""
    (adapter / "adapter_model.safetensors").rename(adapter / "adapters.safetensors")
    (adapter / "adapter_config.json").write_text('{"fine_tune_type": "full", "model": "org/base"}')
    return adapter


def gguf(adapter: Path, base: Path) -> Path:
    folder = adapter.parent / "gguf"
    folder.mkdir()
    (folder / "m-Q4_K_M.gguf").write_bytes(b"GGUF")
    return folder


def peft_of_another_type(adapter: Path, base: Path) -> Path:
    edit_json(adapter / "adapter_config.json", peft_type="IA3")
    return adapter


def prompt_tuning(adapter: Path, base: Path) -> Path:
    edit_json(adapter / "adapter_config.json", peft_type="PROMPT_TUNING")
    return adapter


def pickled_adapter(adapter: Path, base: Path) -> Path:
    import torch
    from safetensors.torch import load_file

    weights = adapter / "adapter_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    return adapter


def pickled_model(adapter: Path, base: Path) -> Path:
    import torch
    from safetensors.torch import load_file

    weights = base / "model.safetensors"
    torch.save(load_file(weights), base / "pytorch_model.bin")
    weights.unlink()
    return base


def lfs_pointer(adapter: Path, base: Path) -> Path:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (base / "model.safetensors").write_text(pointer)
    return base


def tokenizer_alone(adapter: Path, base: Path) -> Path:
    for path in adapter.iterdir():
        if not path.name.startswith("tokenizer"):
            path.unlink()
    return adapter


FOLDERS: dict[Callable[[Path, Path], Path], str] = {
    fsdp: r"accelerate merge-weights \S+ \S+",
    deepspeed: r"zero_to_fp32 \S+ \S+",
    mlx: r"mlx_lm.fuse --model org/base --adapter-path \S+ --save-path \S+ --dequantize",
    gguf: r"that it was made from",
    peft_of_another_type: r"merge_and_unload\(\)",
    prompt_tuning: r"hf upload USER/NAME \S+",
    pickled_adapter: r"uploader convert-pickle \S+, which makes adapter_model.safetensors",
    pickled_model: r"uploader convert-pickle \S+ --output \S+",
    lfs_pointer: r"git -C \S+ lfs pull",
    tokenizer_alone: r"the folder with the weights",
}


@pytest.mark.parametrize("spoil", FOLDERS, ids=lambda spoil: spoil.__name__)
def test_plan_refuses_once_and_helps(
    uploader: Any, fine_tune: Path, spoil: Callable[[Path, Path], Path]
) -> None:
    source = spoil(fine_tune, fine_tune.parents[1] / "base")
    result = uploader("plan", source)
    assert result.returncode == 4, result.stderr
    assert "stand in the way" not in result.stderr
    (advice,) = re.findall(r"^  next  (.+)$", result.stderr, re.MULTILINE)
    assert re.search(FOLDERS[spoil], advice)
    assert "--base PATH" not in advice
    assert "Traceback" not in result.stderr


def test_gathered_as_the_refusal_says_it_can_be_released(uploader: Any, fine_tune: Path) -> None:
    base = fine_tune.parents[1] / "base"
    refused = uploader("plan", fsdp(fine_tune, base)).stderr
    found = re.search(r"accelerate (merge-weights (\S+) (\S+));", refused)
    assert found is not None
    command = "from accelerate.commands.accelerate_cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, *shlex.split(found[1])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    gathered = Path(found[3])
    for path in base.iterdir():
        if path.suffix == ".json" and "model" not in path.name:
            shutil.copy(path, gathered)
    result = uploader("plan", gathered, "--plugins", "merged-16bit")
    assert result.returncode == 0, result.stderr
