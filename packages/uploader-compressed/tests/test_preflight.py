"""What cannot be quantised as asked is refused before the first byte, with what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from compressed_models import model_class, save
from compressed_tools import compress, findings
from saved_models import rewritten
from uploader_core.plugin import SourceError, UsageError


def test_a_sound_model_has_no_errors(llama: Path) -> None:
    assert not findings(llama, "w4a16")["error"]


def test_columns_that_no_group_divides(llama: Path, tmp_path: Path) -> None:
    odd = torch.zeros(128, 200, dtype=torch.bfloat16)
    base = rewritten(llama, tmp_path / "odd", {"model.layers.0.mlp.down_proj.weight": odd})
    (error,) = findings(base, "w4a16")["error"]
    assert "128 columns" in error.what
    assert "model.layers.0.mlp.down_proj.weight (128 x 200)" in error.what
    assert error.next is not None
    assert "--compressed-kinds fp8-dynamic" in error.next
    assert not findings(base, "fp8-dynamic")["error"]
    assert not findings(base, "w4a16", ignore=(r".*layers\.0\.mlp\.down_proj$",))["error"]


def test_experts_in_one_tensor_that_no_engine_loads_single(llama: Path, tmp_path: Path) -> None:
    stacked = {"model.layers.0.mlp.experts.gate_up_proj": torch.zeros(2, 8, 128).bfloat16()}
    base = rewritten(llama, tmp_path / "stacked", stacked)
    (error,) = findings(base, "fp8-dynamic")["error"]
    assert "no engine is known to load them one by one" in error.what
    assert error.next is not None
    assert "--compressed-ignore" in error.next
    assert not findings(base, "fp8-dynamic", ignore=(r".*\.experts",))["error"]


def test_experts_that_servers_load_and_transformers_does_not(tmp_path: Path) -> None:
    base = save("granite-moe", tmp_path / "base")
    found = findings(base, "w8a8")
    assert found["error"] == []
    assert [f.what for f in found["warning"] if "not for transformers" in f.what]
    kept = findings(base, "w8a8", ignore=(r".*\.experts",))
    assert kept["error"] == []
    assert not [f.what for f in kept["warning"] if "not for transformers" in f.what]


def test_fused_experts_that_stay_in_16_bits_stay_in_one_tensor(tmp_path: Path) -> None:
    base = save("granite-moe", tmp_path / "base")
    compress(tmp_path, base, None, "fp8-dynamic", ignore=(r".*\.experts",))
    stored = load_file(base / "model.safetensors")
    written = load_file(tmp_path / "compressed-fp8-dynamic" / "model.safetensors")
    stacks = [name for name, tensor in stored.items() if tensor.dim() == 3]
    assert stacks
    assert all(torch.equal(written[name], stored[name]) for name in stacks)


def test_experts_of_llama_4_in_16_bits_are_single_all_the_same(tmp_path: Path) -> None:
    """transformers builds single ones wherever anything is compressed."""
    base = save("llama4", tmp_path / "base")
    compress(tmp_path, base, None, "fp8-dynamic", ignore=(r".*\.experts",))
    folder = tmp_path / "compressed-fp8-dynamic"
    _, info = model_class("llama4").from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())


@pytest.mark.parametrize("method", ["compressed-tensors", "hqq", "torchao", "bitnet"])
def test_a_base_that_is_quantised_already(llama: Path, tmp_path: Path, method: str) -> None:
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": method}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(SourceError, match="quantised") as refused:
        findings(base, "fp8-dynamic")
    assert refused.value.next


def test_its_own_output_is_no_base(llama: Path, tmp_path: Path) -> None:
    compress(tmp_path, llama, None, "fp8-dynamic")
    with pytest.raises(SourceError, match="compressed-tensors"):
        findings(tmp_path / "compressed-fp8-dynamic", "w4a16")


def test_a_pattern_that_is_none(llama: Path) -> None:
    with pytest.raises(UsageError, match="not a regular expression"):
        findings(llama, "w4a16", ignore=("(",))


def test_a_pattern_that_matches_nothing(llama: Path) -> None:
    with pytest.raises(UsageError, match="matches the beginning of no module"):
        findings(llama, "w4a16", ignore=("down_proj",))


def test_a_layer_that_servers_compute_with_one_that_stays(llama: Path) -> None:
    (warning,) = findings(llama, "w4a16", ignore=(r".*q_proj$",))["warning"]
    assert "q_proj stays in 16 bits" in warning.what


def test_nothing_to_quantise(llama: Path) -> None:
    (error,) = findings(llama, "w4a16", ignore=("model",))["error"]
    assert "nothing would be quantised" in error.what


def test_a_weight_that_is_not_finite(llama: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    broken = load_file(llama / "model.safetensors")[name]
    broken[7, 7] = float("inf")
    base = rewritten(llama, tmp_path / "broken", {name: broken})
    with pytest.raises(SourceError, match=rf"{name} holds NaN or infinity"):
        compress(tmp_path, base, None, "w4a16", "nvfp4a16")
    assert not list(tmp_path.glob("compressed-*/*.safetensors"))


def test_a_size_that_is_none(llama: Path) -> None:
    with pytest.raises(UsageError, match="no size"):
        findings(llama, "w4a16", shard_size=10)


@pytest.mark.parametrize("scheme", ["w8a8", "nvfp4a16", "fp8-block"])
def test_experts_in_a_scheme_that_transformers_does_not_read(scheme: str, tmp_path: Path) -> None:
    base = save("qwen3-moe", tmp_path / "base")
    (error,) = findings(base, scheme)["error"]
    assert "transformers does not load" in error.what
    assert error.next is not None
    assert "fp8-dynamic" in error.next
    assert not findings(base, "w4a16")["error"]


def test_experts_that_stay_in_16_bits_beside_fp8_in_blocks(tmp_path: Path) -> None:
    base = save("qwen3-moe", tmp_path / "base")
    assert not findings(base, "fp8-block", ignore=(r".*\.experts",))["error"]
