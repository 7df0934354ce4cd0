"""NaN and infinity are found in every type of float, wherever they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_tools import step_context
from uploader_core.plugin import SourceError
from uploader_lora import read_header
from uploader_lora.finite import is_finite
from uploader_lora.save import save

TYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_none(dtype: torch.dtype, value: float, tmp_path: Path) -> None:
    tensor = torch.randn(33, 7).to(dtype)
    tensor[20, 5] = value
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    assert not is_finite(read_header(tmp_path / "x.safetensors").tensors["x"])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_largest_and_smallest_numbers_are_some(dtype: torch.dtype, tmp_path: Path) -> None:
    limits = torch.finfo(dtype)
    numbers = torch.tensor([limits.max, limits.min, limits.tiny, 0.0, -1.0], dtype=dtype)
    save_file({"x": numbers}, tmp_path / "x.safetensors")
    assert is_finite(read_header(tmp_path / "x.safetensors").tensors["x"])


def test_adapter_whose_training_diverged_is_not_released(adapter: Path, tmp_path: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if "lora_B" in n)
    tensors[name][0, 0] = float("nan")
    save_file(tensors, file)
    with pytest.raises(SourceError, match="NaN") as caught:
        save(step_context(adapter, tmp_path / "out"))
    assert name in caught.value.what
