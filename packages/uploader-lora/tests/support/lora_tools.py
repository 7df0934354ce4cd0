"""Small real adapters, made on the spot with peft, and contexts as core makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from json_files import edit_json
from uploader_core.plugin import Artifact, OutputFolder, PlanContext, ReleaseInfo, StepContext


def tiny_llama() -> Any:
    """A two-layer Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


def save_adapter(
    folder: Path, base: str | None = "someone/tiny", *, trained: bool = True, **flags: Any
) -> Path:
    """Save an adapter of a two-layer Llama."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_llama(), LoraConfig(task_type="CAUSAL_LM", **flags))
    for name, parameter in model.named_parameters():
        if trained and "lora_" in name:
            parameter.data.normal_()
    model.save_pretrained(folder, save_embedding_layers=False)
    edit_json(folder / "adapter_config.json", base_model_name_or_path=base)
    return folder


def source(folder: Path) -> tuple[Artifact, ...]:
    return (Artifact(kind="adapter", path=folder),)


def plan_context(folder: Path) -> PlanContext:
    release = ReleaseInfo(name="tiny", source="adapter")
    return PlanContext(inputs=source(folder), settings=None, release=release, output=folder)


def step_context(folder: Path, root: Path, **more: Any) -> StepContext:
    return StepContext(
        step="lora:lora",
        inputs=source(folder),
        settings=None,
        release=ReleaseInfo(name="tiny", source="adapter", **more),
        output=OutputFolder(root / "lora", root / "scratch", root / "units"),
        work=root / "scratch",
        produces="lora",
    )
