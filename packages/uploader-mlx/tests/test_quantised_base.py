"""A model that mlx-lm quantised is a base for everything else, widened as mlx does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlx.core as mx
import pytest
import torch

from compressed_models import save, train
from mlx_tools import load_all, make, same_bits, save_merged
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint
from uploader_mlx.arrays import from_torch
from uploader_mlx.kinds import KINDS, Quantisation, plain


@pytest.fixture(scope="module")
def folders(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    make(root, llama, None, *KINDS, overrides=(".*layers.0.mlp.down_proj=8bit",))
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_what_mlx_makes_of_its_codes(folders: Path, kind: str) -> None:
    checkpoint = open_checkpoint(folders / kind)
    stored = load_all(folders / kind)
    assert checkpoint.base.quantised == "mlx"
    assert not {"quantization", "quantization_config"} & checkpoint.config.keys()
    for name in checkpoint.names:
        module = name.removesuffix(".weight")
        expected = stored[name]
        if f"{module}.scales" in stored:
            how = _of(kind, expected, stored[f"{module}.scales"], checkpoint.shape(name)[-1])
            parts = (stored[f"{module}.scales"], stored.get(f"{module}.biases"))
            expected = mx.dequantize(expected, *parts, how.group, how.bits, mode=how.mode)
        assert same_bits(from_torch(checkpoint.read(name)), expected), name
        rows = checkpoint.read_rows(name, 1, 3)
        assert same_bits(from_torch(rows), expected[1:3]), name


def _of(kind: str, codes: mx.array, scales: mx.array, columns: int) -> Quantisation:
    how = None if scales.dtype != mx.uint8 else plain(kind, 64)
    bits = codes.shape[-1] * 32 // columns
    return how or Quantisation(mode="affine", bits=bits, group=columns // scales.shape[-1])


def test_an_adapter_is_merged_into_it(llama: Path, folders: Path, tmp_path: Path) -> None:
    adapter = train("llama", llama, tmp_path / "adapter")
    merged = save_merged(tmp_path, folders / "8bit", adapter)
    other = save_merged(tmp_path / "of-16-bit", llama, adapter)
    ours, theirs = load_all(merged), load_all(other)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        left, right = (torch.tensor(t[name].astype(mx.float32).tolist()) for t in (ours, theirs))
        assert torch.allclose(left, right, atol=0.01), name


def test_experts_that_mlx_stacked_are_refused(tmp_path: Path) -> None:
    make(tmp_path, save("mixtral", tmp_path / "base"), None, "4bit")
    with pytest.raises(SourceError, match="experts as mlx-lm stacks them") as refused:
        open_checkpoint(tmp_path / "4bit")
    assert "16-bit model" in str(refused.value.next)


def test_a_model_of_which_mlx_lm_quantised_nothing(llama: Path, tmp_path: Path) -> None:
    """``mlx_lm.convert`` says 4 bits also where no width is whole groups."""
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    config["quantization"] = {"group_size": 64, "bits": 4, "mode": "affine"}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    checkpoint = open_checkpoint(base)
    assert checkpoint.base.quantised is None
    assert "quantization" not in checkpoint.config
