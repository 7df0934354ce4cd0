"""Training that stretched the positions (RoPE) says so in a ``config.json`` beside the adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merged_tools import LLAMA, Merge, edit_json, save_llama
from uploader_core.plugin import Artifact, PlanContext, ReleaseInfo, SourceError
from uploader_lora import trained_positions
from uploader_lora.save import check as check_lora
from uploader_merged import open_checkpoint
from uploader_merged.findings import checkpoint_findings

LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}


def stretched(base: Path, folder: Path) -> Any:
    """Train a LoRA on four times the positions, and save it as LongLoRA and axolotl do."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(base)
    config.rope_parameters = LINEAR
    config.max_position_embeddings = 256
    torch.manual_seed(3)
    lora = LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    model = LlamaForCausalLM.from_pretrained(base, config=config, dtype=torch.float32)
    tuned = get_peft_model(model, lora)
    tuned.save_pretrained(folder)
    config.save_pretrained(folder)
    return tuned.eval()


def planned(kind: str, path: Path, base: Path) -> PlanContext:
    """Describe to a check what it is asked about."""
    return PlanContext(
        inputs=(Artifact(kind=kind, path=path),),
        settings=None,
        release=ReleaseInfo(name="x", source="adapter"),
        output=path.parent / "release",
        sources={"base": base},
    )


def test_merged_model_has_the_positions_of_the_training(tmp_path: Path, merge: Merge) -> None:
    from transformers import AutoModelForCausalLM

    base = save_llama(tmp_path / "base")
    tuned = stretched(base, tmp_path / "adapter")
    merged = merge(base, tmp_path / "adapter").path
    ids = torch.randint(0, LLAMA["vocab_size"], (1, 60))
    with torch.no_grad():
        ours = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)(ids).logits
        assert (ours - tuned(ids).logits).abs().max() < 0.02
    checkpoint = open_checkpoint(base, tmp_path / "adapter")
    found = checkpoint_findings(checkpoint, planned("checkpoint", tmp_path / "adapter", base))
    said = [(finding.level, finding.what) for finding in found]
    assert [level for level, what in said if "rope linear, factor 4.0" in what] == ["note"]


def test_adapter_alone_is_released_with_a_warning(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base")
    stretched(base, tmp_path / "adapter")
    context = planned("adapter", tmp_path / "adapter", base)
    assert any("trained with rope linear" in f.what for f in check_lora(context))


def test_stack_refuses_positions_of_one_adapter(tmp_path: Path, adapter: Path, llama: Path) -> None:
    stretched(llama, tmp_path / "long")
    with pytest.raises(SourceError, match="other positions"):
        open_checkpoint(llama, [adapter, tmp_path / "long"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"rope_theta": 1e6}, {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}),
        (
            {"rope_theta": 5e5, "rope_scaling": {"factor": 8.0, "rope_type": "llama3"}},
            {"rope_parameters": {"rope_theta": 5e5, "factor": 8.0, "rope_type": "llama3"}},
        ),
        (
            {"rope_scaling": {"type": "su", "short_factor": [1.0]}},
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0], "factor": 1.0}},
        ),
        (
            {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "rope_theta": 1e6},
            {
                "rope_parameters": {
                    "full_attention": {"factor": 8.0, "rope_type": "linear", "rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                }
            },
        ),
        (
            {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
            {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}},
        ),
    ],
    ids=["theta", "llama3", "longrope", "gemma3", "mrope"],
)
def test_same_positions_under_the_names_of_both_transformers(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    config = {"model_type": "x", "max_position_embeddings": 99, **after}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert trained_positions(tmp_path, {"model_type": "x", **before}) is None


def said(base: Path, adapter: Path) -> list[tuple[str, str]]:
    found = checkpoint_findings(
        open_checkpoint(base, adapter), planned("checkpoint", adapter, base)
    )
    return [(finding.level, finding.what) for finding in found]


def copy_of(adapter: Path, folder: Path) -> Path:
    return Path(shutil.copytree(adapter, folder))


def test_loftq_is_merged_into_what_it_quantised(llama: Path, adapter: Path, tmp_path: Path) -> None:
    tuned = copy_of(adapter, tmp_path / "adapter")
    assert not [what for _, what in said(llama, tuned) if "LoftQ" in what]
    edit_json(tuned / "adapter_config.json", init_lora_weights="loftq")
    assert [level for level, what in said(llama, tuned) if "LoftQ" in what] == ["warning"]


def test_layer_that_the_adapter_lost_stops_the_plan(
    llama: Path, adapter: Path, tmp_path: Path
) -> None:
    tuned = copy_of(adapter, tmp_path / "adapter")
    file = tuned / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "layers.1." not in k}, file)
    errors = [what for level, what in said(llama, tuned) if level == "error"]
    assert "every layer of model.layers" in errors[0]


def test_what_wrappers_left_in_the_names_is_said(
    llama: Path, adapter: Path, tmp_path: Path
) -> None:
    tuned = copy_of(adapter, tmp_path / "adapter")
    file = tuned / "adapter_model.safetensors"
    save_file({f"_orig_mod.{name}": tensor for name, tensor in load_file(file).items()}, file)
    assert [level for level, what in said(llama, tuned) if "torch.compile" in what] == ["note"]


def test_window_of_the_training_is_not_the_base_s(
    llama: Path, adapter: Path, tmp_path: Path
) -> None:
    tuned = copy_of(adapter, tmp_path / "adapter")
    config = json.loads((llama / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert [level for level, what in said(llama, tuned) if "rms_norm_eps 0.5" in what] == [
        "warning"
    ]
