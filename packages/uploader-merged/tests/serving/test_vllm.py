"""vLLM's own checks of what is derived from an adapter that it refuses; ``nox -s engines``."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import safe_open

import merged_models
from merged_tools import train
from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
from uploader_merged.serving.lossy_save import save
from uploader_merged.serving.save import WEIGHTS
from uploader_merged.settings import ServingLossySettings

peft_helper = pytest.importorskip("vllm.lora.peft_helper", reason="nox -s engines installs vLLM")


def refusal(folder: Path) -> str:
    """Return what vLLM says against an adapter, "" for nothing."""
    from vllm.config.lora import LoRAConfig
    from vllm.lora.utils import parse_fine_tuned_lora_name

    try:
        helper = peft_helper.PEFTHelper.from_local_dir(str(folder), None)
        helper.validate_legal(LoRAConfig(max_lora_rank=16))
        with safe_open(folder / WEIGHTS, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                parse_fine_tuned_lora_name(name)
    except ValueError as error:
        return str(error)
    return ""


def test_it_takes_what_is_near_what_it_refuses(tmp_path: Path) -> None:
    base = merged_models.save("qwen3", tmp_path / "base")
    folder = train(base, tmp_path / "adapter", r=8, use_dora=True, target_modules=["q_proj"])
    assert refusal(folder)
    made = save(
        StepContext(
            step="merged:serving-lossy",
            inputs=(Artifact(kind="adapter", path=folder), Artifact(kind="base", path=base)),
            settings=ServingLossySettings(serving_contexts=0),
            release=ReleaseInfo(name="tiny", source="adapter"),
            output=OutputFolder(tmp_path / "made", tmp_path / "scratch", tmp_path / "units"),
            work=tmp_path / "scratch",
        )
    )
    assert refusal(made.path) == ""
