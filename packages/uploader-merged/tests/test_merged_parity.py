"""Merged tensors are bit for bit those of peft's merge in float32, cast once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Merge, load_all, peft_merged, same_bits, train

LINEAR: dict[str, dict[str, Any]] = {
    "every linear layer": {"r": 8, "lora_alpha": 13, "target_modules": "all-linear"},
    "some layers": {
        "r": 4,
        "lora_alpha": 7,
        "target_modules": ["q_proj", "down_proj"],
        "layers_to_transform": [1],
    },
    "rsLoRA": {"r": 11, "lora_alpha": 16, "use_rslora": True, "target_modules": "all-linear"},
    "patterns": {
        "r": 8,
        "lora_alpha": 16,
        "target_modules": "all-linear",
        "rank_pattern": {"q_proj": 4, r"^model\.layers\.1\.mlp\.up_proj": 3},
        "alpha_pattern": {r"layers\.0\.self_attn\.[kv]_proj": 5, "down_proj": 9},
    },
    "rsLoRA with patterns": {
        "use_rslora": True,
        "target_modules": ["k_proj", "up_proj"],
        "rank_pattern": {"k_proj": 5},
        "alpha_pattern": {"up_proj": 3},
    },
}


def assert_same(merged: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> None:
    assert merged.keys() <= reference.keys()
    different = [name for name in merged if not same_bits(merged[name], reference[name])]
    assert not different


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_kinds(kind: str, llama: Path, tmp_path: Path, merge: Merge) -> None:
    adapter = train(llama, tmp_path / "adapter", **LINEAR[kind])
    made = merge(llama, adapter)
    reference, _ = peft_merged(llama, adapter)
    merged = load_all(made.path)
    assert merged.keys() == reference.keys()
    assert_same(merged, reference)
    assert made.metadata["touched"] == sum(
        not same_bits(merged[name], tensor) for name, tensor in load_all(llama).items()
    )


def test_tied_model_with_untouched_embeddings(
    tied_llama: Path, tmp_path: Path, merge: Merge
) -> None:
    adapter = train(tied_llama, tmp_path / "adapter", target_modules=["q_proj"])
    made = merge(tied_llama, adapter)
    reference, _ = peft_merged(tied_llama, adapter)
    merged = load_all(made.path)
    assert_same(merged, reference)
    assert "lm_head.weight" not in merged
    assert (made.path / "config.json").read_bytes() == (tied_llama / "config.json").read_bytes()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(1, 30)[None]).logits


@pytest.mark.parametrize("shape", ["llama", "tied_llama"])
def test_folder_loads_and_answers_as_base_plus_adapter(
    shape: str, request: pytest.FixtureRequest, tmp_path: Path, merge: Merge
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = request.getfixturevalue(shape)
    adapter = train(base, tmp_path / "adapter", target_modules=["q_proj", "up_proj", "lm_head"])
    made = merge(base, adapter, dtype="float32")
    loaded = AutoModelForCausalLM.from_pretrained(made.path)
    assert loaded.dtype == torch.float32
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(model, adapter))
    torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=1e-5)


def test_head_of_a_tied_model_becomes_a_matrix_of_its_own(
    tied_llama: Path, tmp_path: Path, merge: Merge
) -> None:
    adapter = train(tied_llama, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    made = merge(tied_llama, adapter)
    merged, base = load_all(made.path), load_all(tied_llama)
    assert same_bits(merged["model.embed_tokens.weight"], base["model.embed_tokens.weight"])
    assert not same_bits(merged["lm_head.weight"], base["model.embed_tokens.weight"])
    assert '"tie_word_embeddings": false' in (made.path / "config.json").read_text()
