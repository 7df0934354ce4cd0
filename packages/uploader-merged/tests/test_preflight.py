"""What cannot be merged is refused from headers alone, by name, with what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from json_files import edit_json
from merged_tools import Merge, train
from saved_models import load_all
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint
from uploader_merged.preflight import check


@pytest.fixture
def base(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "base"))


@pytest.fixture
def mine(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "mine"))


def rewrite(folder: Path, old: str, new: str, rows: int | None = None) -> None:
    file = folder / "adapter_model.safetensors"
    changed = {}
    for name, tensor in load_file(file).items():
        cut = rows if rows is not None and old in name and "lora_B" in name else tensor.shape[0]
        changed[name.replace(old, new)] = tensor[:cut].contiguous()
    save_file(changed, file)


def refuse(base: Path, adapter: Path | None, words: str) -> SourceError:
    with pytest.raises(SourceError, match=words) as caught:
        open_checkpoint(base, adapter)
    assert caught.value.next
    return caught.value


def test_adapter_tensor_that_matches_nothing(base: Path, mine: Path) -> None:
    rewrite(mine, "layers.1.self_attn.q_proj", "layers.9.self_attn.q_proj")
    error = refuse(base, mine, r"layers\.9\.self_attn\.q_proj")
    assert "q_proj" in error.what


def test_shape_that_does_not_fit(base: Path, mine: Path) -> None:
    rewrite(mine, "layers.0.mlp.up_proj", "layers.0.mlp.up_proj", rows=20)
    refuse(base, mine, r"layers\.0\.mlp\.up_proj .*20 x 48.*80 x 48")


def test_truncated_base(base: Path, mine: Path) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    refuse(base, mine, r"model\.safetensors .*truncated")


def test_base_without_configuration(base: Path, mine: Path) -> None:
    (base / "config.json").unlink()
    assert "--base" in str(refuse(base, mine, "config.json").next)


def test_base_without_weights(base: Path, mine: Path) -> None:
    (base / "model.safetensors").unlink()
    refuse(base, mine, r"no model\.safetensors")


def test_base_of_pickles(base: Path, mine: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    refuse(base, mine, "pickles")


@pytest.mark.parametrize("place", [[], ["text_config"], ["thinker_config", "text_config"]])
def test_quantised_base_wherever_it_says_so(base: Path, mine: Path, place: list[str]) -> None:
    entry: dict[str, Any] = {"quantization_config": {"quant_method": "compressed-tensors"}}
    for key in reversed(place):
        entry = {key: entry}
    edit_json(base / "config.json", **entry)
    assert "--base" in str(refuse(base, mine, "compressed-tensors").next)


def test_name_that_could_be_two(base: Path, mine: Path) -> None:
    tensors = load_all(base)
    twice = {f"language_model.{n}": t.clone() for n, t in tensors.items()}
    moved = {n.replace("model.layers", "text_model.layers"): t for n, t in tensors.items()}
    save_file({**moved, **twice}, base / "model.safetensors", metadata={"format": "pt"})
    refuse(base, mine, "could be")


def test_weights_of_whole_numbers(base: Path, mine: Path) -> None:
    import torch

    tensors = load_all(base)
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name].to(torch.int8)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    refuse(base, mine, "I8")


def test_names_with_other_wrappers(base: Path, mine: Path, tmp_path: Path) -> None:
    """Checkpoints of vision-language models, before and after transformers moved the names."""
    plain = open_checkpoint(base, mine)
    vision = {"vision_tower.layers.0.self_attn.q_proj.weight": load_all(base)["lm_head.weight"]}
    for n, prefix in enumerate(["language_model.model.", "model.language_model.", ""]):
        other = tmp_path / str(n)
        other.mkdir()
        tensors = {k.replace("model.", prefix, 1): v for k, v in load_all(base).items()}
        save_file({**tensors, **vision}, other / "model.safetensors")
        shutil.copyfile(base / "config.json", other / "config.json")
        checkpoint = open_checkpoint(other, mine)
        assert [t.replace(prefix, "model.", 1) if prefix else f"model.{t}" for t in
                checkpoint.touched] == list(plain.touched)  # fmt: skip


def test_file_that_shrinks_while_it_is_read(base: Path, mine: Path) -> None:
    checkpoint = open_checkpoint(base, mine)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(SourceError, match="shorter"):
        for name in checkpoint.names:
            checkpoint.read(name)


def test_module_to_save_that_the_base_has_and_the_adapter_has_not(base: Path, mine: Path) -> None:
    """PEFT loads no such adapter; of names that the model does not have it says nothing."""
    edit_json(mine / "adapter_config.json", modules_to_save=["classifier", "score"])
    assert open_checkpoint(base, mine).touched
    edit_json(mine / "adapter_config.json", modules_to_save=["norm"])
    refuse(base, mine, "'norm', which the base has .*layernorm.weight")


def test_check_raises_what_opening_raises(base: Path, mine: Path, merge: Merge) -> None:
    rewrite(mine, "layers.1.self_attn.q_proj", "layers.9.self_attn.q_proj")
    with pytest.raises(SourceError, match="layers.9"):
        list(check(merge.plan(base, mine)))


def test_opening_checking_and_estimating_need_no_torch(llama: Path, adapter: Path) -> None:
    code = (
        "import sys, uploader_merged.plugin, uploader_merged.preflight as p;"
        "from pathlib import Path;"
        "from uploader_core.plugin import *;"
        "from uploader_merged.settings import Merged16Settings;"
        "a = Artifact(kind='checkpoint', path=Path('.'),"
        " metadata={'base': sys.argv[1], 'adapters': [[sys.argv[2], 1.0]]});"
        "c = PlanContext(inputs=(a,), settings=Merged16Settings(), output=Path('.'),"
        " release=ReleaseInfo(name='x', source='adapter'));"
        "list(p.check(c)); p.estimate(c);"
        "print([m for m in ('torch','peft','numpy','safetensors','transformers')"
        " if m in sys.modules])"
    )
    argv = [sys.executable, "-c", code, str(llama), str(adapter)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_base_that_is_an_adapter_is_named(llama: Path, adapter: Path, tmp_path: Path) -> None:
    """As in McGill-NLP/llm2vec#128: an adapter that was trained on top of another one."""
    with pytest.raises(SourceError, match="is an adapter itself") as caught:
        open_checkpoint(adapter, train(llama, tmp_path / "second"))
    assert f"uploader run {adapter} --plugins merged-16bit" in str(caught.value.next)
