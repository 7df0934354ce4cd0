"""The kernels and torch give the same bits, and refuse the same values."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import uploader_kernels
from merged_models import save
from merged_tools import train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_kernels.library import LEVEL
from uploader_lora import read_header
from uploader_merged import open_checkpoint
from uploader_merged.compute.arithmetic import Evaluation
from uploader_merged.merge_plan.recipes import LowRank, Recipe, View

pytestmark = pytest.mark.bits

TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
Q = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def without_kernels() -> Any:
    """Forbid the kernels while a checkpoint is read."""

    def read(checkpoint: Any, name: str, dtype: str) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(LEVEL, "forbidden")
            with pytest.raises(uploader_kernels.KernelsError):
                uploader_kernels.load()
            return checkpoint().read(name, dtype)

    return read


@pytest.mark.parametrize("alpha", [16, 13], ids=["power of two", "two roundings"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("stored", TYPES)
def test_bits_of_torch(
    stored: str, architecture: str, alpha: int, without_kernels: Any, tmp_path: Path
) -> None:
    base = save(architecture, tmp_path / "base")
    tensors = {name: t.to(TYPES[stored]) for name, t in load_all(base).items()}
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    adapter = train(base, tmp_path / "adapter", r=8, lora_alpha=alpha, target_modules="all-linear")
    again = functools.partial(open_checkpoint, base, adapter)
    checkpoint = again()
    assert len(checkpoint.touched) > 3
    for name in checkpoint.touched:
        for wanted in TYPES:
            expected = without_kernels(again, name, wanted)
            assert same_bits(checkpoint.read(name, wanted), expected), (name, wanted)


@pytest.mark.parametrize(
    ("stored", "wanted", "value", "message"),
    [
        ("BF16", "BF16", float("nan"), "would hold NaN or infinity near row 0$"),
        ("F32", "BF16", 3.4e38, "near row 0 in bfloat16"),
        ("BF16", "F16", 1e5, "near row 0 in float16"),
    ],
)
def test_refuses_what_torch_refuses(
    stored: str,
    wanted: str,
    value: float,
    message: str,
    without_kernels: Any,
    llama: Path,
    adapter: Path,
    tmp_path: Path,
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "generation_config.json"):
        (base / name).write_bytes((llama / name).read_bytes())
    tensors = {
        name: t.to(TYPES[stored]) for name, t in load_file(llama / "model.safetensors").items()
    }
    tensors[Q][3, 5] = value
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    again = functools.partial(open_checkpoint, base, adapter)
    with pytest.raises(SourceError, match=message):
        again().read(Q, wanted)
    with pytest.raises(SourceError, match=message):
        without_kernels(again, Q, wanted)


@pytest.mark.parametrize("rank", [1, 3, 8, 16, 64, 300])
@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (100, 96), (259, 1024), (5000, 48)])
def test_product_of_any_rank_and_shape_has_the_bits_of_torch(
    rank: int, rows: int, columns: int, without_kernels: Any, tmp_path: Path
) -> None:
    """Where torch sums in another order, as it does for large ranks, torch is asked."""
    torch.manual_seed(rank)
    weight = {"w": torch.randn(rows, columns).bfloat16()}
    factors = {"a": torch.randn(rank, columns), "b": torch.randn(rows, rank)}
    save_file(weight | factors, tmp_path / "file.safetensors")
    tensors = read_header(tmp_path / "file.safetensors").tensors
    step = LowRank(a=View.whole(tensors["a"]), b=View.whole(tensors["b"]), scale=1.3)
    recipe = replace(Recipe.keep(tensors["w"]), steps=(step,))
    expected = weight["w"].float() + (factors["b"] @ factors["a"]) * 1.3
    for wanted in TYPES:
        merged = Evaluation(recipe, wanted).read()
        assert same_bits(merged, expected.to(TYPES[wanted])), wanted
