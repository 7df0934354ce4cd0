"""The files are what the field's library makes of the same model, and transformers runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compressed_tensors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from uploader_core.testing.fixtures import make_adapter, make_model


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``merged-16bit`` and FP8 of one fine-tune, made by the command."""
    root = tmp_path_factory.mktemp("fp8")
    adapter = make_adapter(root / "final_model", make_model(root / "base"))
    command = [sys.executable, "-m", "uploader_core", "run", str(adapter)]
    options = ["--plugins", "merged-16bit,fp8", "--output", str(root / "release")]
    subprocess.run([*command, *options], check=True)
    return root / "release"


@pytest.fixture(scope="module")
def fp8(release: Path) -> Path:
    return release / "compressed-tensors.fp8"


def by_the_library(merged: Path, config: QuantizationConfig) -> dict[str, torch.Tensor]:
    """Quantise a loaded model as a whole with compressed-tensors' own compressor."""
    model = AutoModelForCausalLM.from_pretrained(merged, dtype="auto")
    apply_quantization_config(model, config, show_progress=False)
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None:
            low, high = torch.aminmax(module.weight.data, dim=1, keepdim=True)
            scale, _ = calculate_qparams(low, high, scheme.weights)
            module.weight_scale.data.copy_(scale)
    ModelCompressor(quantization_config=config).compress_model(model)
    return dict(model.state_dict())


def test_tensors_are_those_of_the_library_bit_for_bit(release: Path, fp8: Path) -> None:
    ours = load_file(fp8 / "model.safetensors")
    import json

    stated = json.loads((fp8 / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig.model_validate(
        {**stated, "quantization_status": "initialized", "format": "float-quantized"}
    )
    theirs = by_the_library(release / "merged-16bit", config)
    assert ours.keys() == theirs.keys()
    eights = [name for name, tensor in ours.items() if tensor.dtype == torch.float8_e4m3fn]
    assert len(eights) == 14
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor.view(torch.uint8), theirs[name].contiguous().view(torch.uint8))


def test_no_weight_is_further_off_than_the_type_allows(release: Path, fp8: Path) -> None:
    ours = load_file(fp8 / "model.safetensors")
    merged = load_file(release / "merged-16bit" / "model.safetensors")
    for name, tensor in ours.items():
        if tensor.dtype == torch.float8_e4m3fn:
            scale = ours[f"{name}_scale"].float()
            error = (tensor.float() * scale - merged[name].float()).abs()
            # Three bits of mantissa: half a step is 2**-4 of the value; the smallest step is
            # 2**-9, and the scale itself is rounded to bfloat16.
            bound = merged[name].float().abs() * (2**-4 + 2**-8) + scale * 2**-9
            assert bool((error <= bound).all())


def test_transformers_loads_it_and_says_nearly_the_same(release: Path, fp8: Path) -> None:
    tokens = torch.arange(2, 42).reshape(2, 20)
    quantised = AutoModelForCausalLM.from_pretrained(fp8)(tokens).logits.float()
    merged = AutoModelForCausalLM.from_pretrained(release / "merged-16bit", dtype="auto")
    reference = merged(tokens).logits.float()
    cosine = torch.nn.functional.cosine_similarity(quantised, reference, dim=-1)
    assert cosine.min() > 0.97
