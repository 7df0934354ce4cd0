"""An adapter that mlx-lm trained is read as the PEFT adapter that does the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from safetensors.torch import load_file

import mlx_adapters
import mlx_trained
from compressed_models import model_class, save
from compressed_words import put_tokenizer
from mlx_adapters import TOKENS, in_mlx, in_transformers, on_folder
from mlx_tools import make, save_merged
from mlx_trained import source
from uploader_core.plugin import SourceContext, SourceError
from uploader_lora import read_adapter
from uploader_merged import open_checkpoint
from uploader_mlx.source.fetch import fetch

ALL = ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj"]
EXPERTS = [f"mlp.switch_mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj")]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("llama", {"keys": ALL}),
    "dora": ("llama", {"keys": ALL, "fine_tune_type": "dora"}),
    "last layer": ("llama", {"keys": ALL, "num_layers": 1}),
    "every module": ("qwen3", {}),
    "experts": ("qwen3-moe", {"keys": ["self_attn.q_proj", *EXPERTS]}),
    "tied embedding": ("qwen2-tied", {"keys": ["model.embed_tokens", "self_attn.q_proj"]}),
    "gemma": ("gemma3", {"keys": ALL}),
    "phi": ("phi3", {"keys": ["self_attn.qkv_proj", "mlp.gate_up_proj"]}),
    "pictures": ("qwen2-vl", {"keys": ALL}),
    "mixtral": ("mixtral", {"keys": ["block_sparse_moe.switch_mlp.gate_proj"]}),
}  # fmt: skip
SLOW = ("every module", "gemma", "phi", "pictures", "mixtral")


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "caches"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: place)
    return place


@pytest.mark.parametrize(
    "case", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES]
)
def test_merged_it_computes_what_mlx_lm_computes(case: str, tmp_path: Path) -> None:
    kind, config = CASES[case]
    base = save(kind, tmp_path / "base", torch.float32)
    folder = mlx_trained.train(tmp_path, base, **config)
    found = source(folder)
    assert found is not None
    assert found.artifacts["base"].path == base
    merged = save_merged(tmp_path, base, found.artifacts["adapter"].path)
    model = model_class(kind).from_pretrained(merged, dtype=torch.float32)
    with torch.no_grad():
        ours = model(torch.tensor(TOKENS)).logits.numpy()
    theirs = in_mlx(tmp_path, base, folder)
    # mlx-lm multiplies Gemma's embedding with a number that is rounded to bfloat16.
    tolerance = (1e-3 if case == "gemma" else 1e-4) * np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=0)
    assert np.abs(theirs - in_transformers(kind, base, None)).max() > 20 * tolerance


@pytest.mark.parametrize("use_dora", [False, True])
def test_there_and_back_no_bit_changes(llama: Path, tmp_path: Path, use_dora: bool) -> None:
    modules = ["q_proj", "v_proj", "down_proj"]
    adapter = mlx_adapters.train(
        "llama", llama, tmp_path / "adapter", target_modules=modules, use_dora=use_dora
    )
    mlx_adapters.convert(tmp_path, llama, adapter)
    found = source(tmp_path / "mlx-lora", llama)
    assert found is not None
    before, after = (
        load_file(place / "adapter_model.safetensors")
        for place in (adapter, found.artifacts["adapter"].path)
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    ours, theirs = (read_adapter(p) for p in (found.artifacts["adapter"].path, adapter))
    assert {u.module: (u.scale, u.rank) for u in ours.updates} == {
        u.module: (u.scale, u.rank) for u in theirs.updates
    }
    config = json.loads((found.artifacts["adapter"].path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    assert config["target_modules"] == sorted(modules)


def test_training_on_a_base_that_mlx_quantised(llama: Path, tmp_path: Path) -> None:
    """Widened, the base computes what its codes compute, and the adapter goes onto that."""
    wide = put_tokenizer(save("llama", tmp_path / "wide", torch.float32))
    make(tmp_path, wide, None, "4bit")
    folder = mlx_trained.train(tmp_path, wide, keys=ALL)
    found = source(folder, tmp_path / "4bit")
    assert found is not None
    merged = save_merged(tmp_path, found.artifacts["base"].path, found.artifacts["adapter"].path)
    model = model_class("llama").from_pretrained(merged, dtype=torch.float32)
    with torch.no_grad():
        ours = model(torch.tensor(TOKENS)).logits.numpy()
    theirs = on_folder(tmp_path / "4bit", folder)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), rtol=0)


def test_peft_loads_it(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL, num_layers=1)
    found = source(folder)
    assert found is not None
    ours = in_transformers("llama", llama, found.artifacts["adapter"].path)
    np.testing.assert_allclose(ours, in_mlx(tmp_path, llama, folder), atol=1e-4)


def test_it_is_made_once(llama: Path, tmp_path: Path, caches: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    first = source(folder)
    assert first is not None
    file = first.artifacts["adapter"].path / "adapter_model.safetensors"
    stamp = file.stat().st_mtime_ns
    again = source(folder)
    assert again is not None
    assert again.artifacts["adapter"].path == first.artifacts["adapter"].path
    assert file.stat().st_mtime_ns == stamp
    assert len(list((caches / "mlx-adapters").iterdir())) == 1


def test_a_plan_leaves_nothing_in_the_cache(llama: Path, tmp_path: Path, caches: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    outline = tmp_path / "outline"
    outline.mkdir()
    asked = f"mlx-adapter:{json.dumps([str(folder), str(llama)])}"
    found = fetch(SourceContext(reference=asked, purpose="source", outline=outline))
    assert read_adapter(found.path).updates
    assert not caches.exists()


def test_the_base_is_another_model(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=["mlp.down_proj"])
    wider = save("qwen3-moe", tmp_path / "other")
    found = source(folder, wider)
    assert found is not None
    with pytest.raises(SourceError):
        open_checkpoint(wider, found.artifacts["adapter"].path)


def test_a_folder_of_peft_is_for_others(llama: Path, tmp_path: Path) -> None:
    adapter = mlx_adapters.train("llama", llama, tmp_path / "adapter", target_modules=["q_proj"])
    assert source(adapter) is None


def _changed(folder: Path, **changes: Any) -> Path:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")
    return folder


def test_two_adapters_in_one_folder(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    adapter = mlx_adapters.train("llama", llama, tmp_path / "adapter", target_modules=["q_proj"])
    shutil.copy(adapter / "adapter_model.safetensors", folder)
    with pytest.raises(SourceError, match=r"is mlx-lm's and another file is PEFT's"):
        source(folder)


def test_whole_weights(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    with pytest.raises(SourceError, match="whole weights") as refused:
        source(_changed(folder, fine_tune_type="full"))
    assert "mlx_lm.fuse" in str(refused.value.next)


def test_a_rank_that_is_not_that_of_the_file(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    with pytest.raises(SourceError, match=r"ranks \[4\], and its configuration says 8"):
        source(_changed(folder, lora_parameters={"rank": 8, "scale": 1.0}))


def test_no_scale(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    with pytest.raises(SourceError, match="no scale"):
        source(_changed(folder, lora_parameters={"rank": 4, "alpha": 8}))


def test_a_base_that_is_not_here(llama: Path, tmp_path: Path) -> None:
    folder = mlx_trained.train(tmp_path, llama, keys=ALL)
    found = source(_changed(folder, model="./nowhere"))
    assert found is not None
    assert "--base" in str(found.missing["base"].next)
