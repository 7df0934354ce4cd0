"""Full models under other names than the released ones, against what transformers writes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import load_models
import merged_models
from json_files import edit_json
from merged_tools import Merge, needs_fused_experts, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint
from uploader_merged.original_names.rename import with_original_names

pytestmark = needs_fused_experts

KINDS = ("mixtral", "qwen3-moe", "granite-moe", "deepseek-v3", "gemma3-vision", "qwen2-vl", "llava")


def saved(kind: str, folder: Path, **how: Any) -> Path:
    import transformers

    if kind in load_models.MORE:
        torch.manual_seed(1)
        model = load_models.MORE[kind](transformers)
    else:
        model = merged_models.build(kind)
    model.to(torch.bfloat16).save_pretrained(folder, **how)
    return folder


def logits(folder: Path) -> torch.Tensor:
    import transformers

    name = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    model = getattr(transformers, name).from_pretrained(folder)
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(3, 19).view(1, -1)).logits
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_released_names_are_those_of_save_pretrained(kind: str, tmp_path: Path) -> None:
    wanted = load_all(saved(kind, tmp_path / "wanted"))
    stored = saved(kind, tmp_path / "stored", save_original_format=False)
    made = Merge(tmp_path / "release")(stored, None, names="original")
    written = load_all(made.path)
    # A model that never was in released files is saved without this prefix of its tower.
    plain = {name.replace(".vision_model.", "."): tensor for name, tensor in written.items()}
    assert plain.keys() == wanted.keys() != load_all(stored).keys()
    assert all(same_bits(plain[name], wanted[name]) for name in wanted)
    assert torch.equal(logits(made.path), logits(stored))


@pytest.mark.parametrize("kind", ["llama-tied", "gpt-oss", "mixtral", "qwen2-vl"])
def test_names_that_are_as_released_stay(kind: str, tmp_path: Path) -> None:
    before = open_checkpoint(saved(kind, tmp_path / "model"))
    assert with_original_names(before).names == before.names


def test_what_was_loaded_from_released_files_is_saved_under_their_names(tmp_path: Path) -> None:
    import transformers

    stored = saved("gemma3-vision", tmp_path / "stored", save_original_format=False)
    released = Merge(tmp_path / "release")(stored, None, names="original").path
    model = transformers.Gemma3ForConditionalGeneration.from_pretrained(released, dtype="auto")
    model.save_pretrained(tmp_path / "again")
    assert load_all(tmp_path / "again").keys() == load_all(released).keys()


def test_tensors_that_the_model_has_no_place_for_keep_their_names(tmp_path: Path) -> None:
    folder = saved("mixtral", tmp_path / "model", save_original_format=False)
    tensors = load_file(folder / "model.safetensors")
    extra = {"mtp.layers.0.mlp.experts.gate_up_proj": torch.zeros(4, 2, 2)}
    save_file({**tensors, **extra}, folder / "model.safetensors", {"format": "pt"})
    names = with_original_names(open_checkpoint(folder)).names
    assert "mtp.layers.0.mlp.experts.gate_up_proj" in names
    assert "model.layers.0.block_sparse_moe.experts.3.w2.weight" in names


def test_an_adapter_is_merged_under_released_names(tmp_path: Path) -> None:
    folder = saved("qwen3-moe", tmp_path / "model", save_original_format=False)
    adapter = train(folder, tmp_path / "adapter", r=4, target_modules=["q_proj", "o_proj"])
    before = open_checkpoint(folder, adapter)
    after = with_original_names(before)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert name in after.touched
    assert same_bits(after.read(name), before.read(name))


def test_more_than_a_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import conversion_mapping
    from transformers.core_model_loading import Transpose, WeightConverter

    turned = WeightConverter("o_proj.weight", "o_proj.weight", operations=[Transpose(0, 1)])
    monkeypatch.setattr(
        conversion_mapping, "get_model_conversion_mapping", lambda *_, **__: [turned]
    )
    folder = merged_models.save("llama", tmp_path / "model")
    with pytest.raises(SourceError, match="axes in another order"):
        with_original_names(open_checkpoint(folder))


def test_a_model_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = merged_models.save("llama", tmp_path / "model")
    edit_json(folder / "config.json", model_type="no_such_type")
    with pytest.raises(SourceError, match="does not know the model type no_such_type"):
        Merge(tmp_path)(folder, None, names="original")
    assert not list((tmp_path / "merged-16bit").glob("*"))
