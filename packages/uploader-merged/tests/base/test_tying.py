"""Tied by the flag, against the tensors: the files count, and what is written reads alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from merged_tools import FUSES_EXPERTS, Merge, save_contradicted, train
from saved_models import load_all, same_bits
from uploader_merged import open_checkpoint
from uploader_merged.base.tying import FLAG
from uploader_merged.preflight import check, check_4bit

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"target_modules": ["q_proj"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "both, kept tied": {
        "target_modules": ["q_proj", "embed_tokens"],
        "ensure_weight_tying": True,
    },
    "whole embedding": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "whole head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "token rows": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 2, 90]},
    "rows by name": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"embed_tokens": [5, 2], "lm_head": [5, 2]},
    },
    "other rows": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"embed_tokens": [5, 2], "lm_head": [7, 90]},
    },
}
keeps_both = pytest.mark.skipif(not FUSES_EXPERTS, reason="transformers 4 goes by the flag")


@pytest.fixture(scope="module")
def contradicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_contradicted(tmp_path_factory.mktemp("contradicted"))


def flag(folder: Path) -> object:
    return json.loads((folder / "config.json").read_text("utf-8"))[FLAG]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(1, 95)[None], use_cache=False).logits


@keeps_both
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_base_and_adapter(
    kind: str, contradicted: Path, tmp_path: Path, merge: Merge
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = train(contradicted, tmp_path / "a", dtype=torch.float32, **KINDS[kind])
    made = merge(contradicted, adapter, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(contradicted, dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(model, adapter))
    ours = AutoModelForCausalLM.from_pretrained(made.path)
    torch.testing.assert_close(logits(ours), expected, atol=2e-5, rtol=2e-5)
    assert flag(made.path) is False


def test_full_model_says_what_its_files_hold(contradicted: Path, merge: Merge) -> None:
    made = merge(contradicted, None)
    assert flag(made.path) is False
    before = load_all(contradicted)
    assert all(same_bits(before[name], tensor) for name, tensor in load_all(made.path).items())


def test_parts_of_the_configuration_say_it_too(contradicted: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").symlink_to(contradicted / "model.safetensors")
    parts = {"text_config": {FLAG: True, "x": 1}, "vision_config": {"depth": 2}}
    (base / "config.json").write_text(json.dumps({FLAG: False, **parts}))
    config = open_checkpoint(base).config
    assert config[FLAG] is False
    assert config["text_config"] == {FLAG: False, "x": 1}
    assert config["vision_config"] == {"depth": 2}


def test_same_matrix_twice_stays_tied(tied_llama: Path, tmp_path: Path, merge: Merge) -> None:
    """As saved by trainers that gather every parameter by its name."""
    base = tmp_path / "base"
    base.mkdir()
    tensors = load_all(tied_llama)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    (base / "config.json").write_bytes((tied_llama / "config.json").read_bytes())
    assert not [f for f in check(merge.plan(base, None)) if FLAG in f.what]
    made = merge(base, None)
    assert (made.path / "config.json").read_bytes() == (base / "config.json").read_bytes()
    rows = train(base, tmp_path / "a", target_modules=["q_proj"], trainable_token_indices=[5, 2])
    assert open_checkpoint(base, rows).own_head is None


def test_two_matrices_without_a_word_are_called_two(llama: Path, tmp_path: Path) -> None:
    """mlx-lm takes a missing flag of a Llama for true, transformers for false."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").symlink_to(llama / "model.safetensors")
    config = json.loads((llama / "config.json").read_text("utf-8"))
    del config[FLAG]
    (base / "config.json").write_text(json.dumps(config))
    assert open_checkpoint(base).config == {**config, FLAG: False}


@pytest.mark.parametrize("with_adapter", [True, False])
def test_plan_warns(
    with_adapter: bool, contradicted: Path, adapter: Path, llama: Path, merge: Merge
) -> None:
    mine = adapter if with_adapter else None
    found = [f for f in check(merge.plan(contradicted, mine)) if FLAG in f.what]
    assert [f.level for f in found] == ["warning"]
    assert "lm_head.weight" in found[0].what
    assert ("transformers 4" in found[0].what) is with_adapter
    assert not [f for f in check(merge.plan(llama, mine)) if FLAG in f.what]


def test_plan_of_four_bits_warns(contradicted: Path, merge: Merge) -> None:
    from dataclasses import replace

    from uploader_merged.settings import Merged4Settings

    plan = replace(merge.plan(contradicted, None), settings=Merged4Settings())
    assert any(FLAG in finding.what for finding in check_4bit(plan))


@pytest.mark.parametrize(
    ("flags", "own"),
    [({"target_modules": ["q_proj"]}, None), ({"target_modules": ["lm_head"]}, "lm_head.weight")],
    ids=["tied", "untied by the adapter"],
)
def test_head_of_its_own(
    flags: dict[str, Any], own: str | None, tied_llama: Path, tmp_path: Path
) -> None:
    adapter = train(tied_llama, tmp_path / "a", **flags)
    assert open_checkpoint(tied_llama, adapter).own_head == own
