"""A PEFT adapter that was made one of mlx-lm changes the base as it does in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors.torch import load_file

from compressed_models import save
from mlx_adapters import convert, in_mlx, in_transformers, refusals, train

ATTENTION = r"^(?!.*visual).*(qkv_proj|q_proj|k_proj|v_proj|o_proj)$"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"target_modules": ALL}),
    "rslora": ("llama", {"target_modules": ALL, "use_rslora": True, "r": 3}),
    "patterns": ("llama", {
        "target_modules": ALL, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 5},
    }),
    "dora": ("llama", {"target_modules": ALL, "use_dora": True}),
    "some layers": ("llama", {"target_modules": ["v_proj"], "layers_to_transform": [0]}),
    "ends": ("llama", {"target_modules": ["embed_tokens", "lm_head", "q_proj"]}),
    "biased": ("llama-biased", {"target_modules": ALL}),
    "experts": ("qwen3-moe", {
        "target_modules": ["q_proj"],
        "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    }),
}  # fmt: skip
OTHERS = ("qwen2-tied", "qwen3", "gemma2", "gemma3", "phi3", "mixtral", "qwen2-vl", "granite-moe")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS]


@pytest.mark.parametrize("case", [*CASES, *SLOW])
def test_logits_are_those_of_peft(case: str, tmp_path: Path) -> None:
    kind, config = CASES.get(case, (case, {"target_modules": ATTENTION}))
    base = save(kind, tmp_path / "base")
    adapter = train(kind, base, tmp_path / "adapter", **config)
    assert refusals(base, adapter) == []
    convert(tmp_path, base, adapter)
    found = in_mlx(tmp_path, base, tmp_path / "mlx-lora")
    expected = in_transformers(kind, base, adapter)
    # mlx-lm multiplies Gemma's embedding with a number that is rounded to bfloat16.
    tolerance = (1e-3 if "gemma" in kind else 1e-4) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
    without = in_transformers(kind, base, None)
    assert np.abs(found - without).max() > 20 * tolerance


def test_no_bit_of_the_matrices_changes(llama: Path, tmp_path: Path) -> None:
    adapter = train("llama", llama, tmp_path / "adapter", target_modules=ALL)
    convert(tmp_path, llama, adapter)
    theirs = load_file(adapter / "adapter_model.safetensors")
    ours = mx.load(str(tmp_path / "mlx-lora" / "adapters.safetensors"))
    assert len(ours) == len(theirs)
    for name, tensor in theirs.items():
        path, _, end = name.removeprefix("base_model.model.").partition(".lora_")
        found = np.array(ours[f"{path}.lora_{end[0].lower()}"])
        np.testing.assert_array_equal(found, tensor.T.numpy())


def test_keys_are_those_below_a_layer_where_all_layers_are_alike(
    llama: Path, tmp_path: Path
) -> None:
    adapter = train("llama", llama, tmp_path / "adapter", target_modules=["q_proj", "v_proj"])
    convert(tmp_path, llama, adapter)
    said = json.loads((tmp_path / "mlx-lora" / "adapter_config.json").read_text("utf-8"))
    assert said == {
        "fine_tune_type": "lora",
        "num_layers": 2,
        "lora_parameters": {
            "rank": 4,
            "scale": 2.0,
            "dropout": 0.0,
            "keys": ["self_attn.q_proj", "self_attn.v_proj"],
        },
    }


@pytest.mark.parametrize(
    ("kind", "config", "what"),
    [
        ("llama", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "whole tensors"),
        ("llama-biased", {"target_modules": ["q_proj"], "bias": "all"}, "biases"),
        ("llama", {"target_modules": ["q_proj"], "trainable_token_indices": [1]}, "rows"),
        ("qwen2-tied", {"target_modules": ["embed_tokens"]}, "one end of a tied model"),
        ("qwen2-vl", {"target_modules": r".*visual.*qkv"}, "what mlx-lm leaves out"),
    ],
)
def test_what_mlx_lm_has_no_place_for_is_refused(
    kind: str, config: dict[str, Any], what: str, tmp_path: Path
) -> None:
    base = save(kind, tmp_path / "base")
    found = refusals(base, train(kind, base, tmp_path / "adapter", **config))
    assert any(what in finding.what for finding in found), found
    assert all(finding.next == "release the whole model: --plugins mlx" for finding in found)
