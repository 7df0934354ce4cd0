"""Folders of models that a training script saved too early, wrapped, or twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from merged_tools import Merge, save_llama
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint


@pytest.fixture
def model(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


def rename(folder: Path, new: Callable[[str], str]) -> None:
    """Save the tensors of a folder under other names."""
    tensors = {new(name): tensor for name, tensor in load_all(folder).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def saved_by(wrapper: str, folder: Path) -> None:
    """Save the state of a wrapped model, as a script does that forgets to unwrap it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    wrapped: Any
    if wrapper == "compile":
        wrapped = torch.compile(model)
    elif wrapper == "compiled layers":
        wrapped = model
        for number, layer in enumerate(model.model.layers):
            model.model.layers[number] = torch.compile(layer)
    elif wrapper == "checkpointing":
        from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

        wrapped = model
        for number, layer in enumerate(model.model.layers):
            model.model.layers[number] = checkpoint_wrapper(layer)
            # Its own state_dict hook hides the name, unless a tool goes by named_parameters.
    elif wrapper == "parallel":
        wrapped = torch.nn.DataParallel(torch.compile(model))
    elif wrapper == "peft":
        from peft import LoraConfig, get_peft_model

        wrapped = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
        wrapped.base_model.unload()
    else:
        wrapped = torch.nn.Module()
        wrapped.model = model  # as a LightningModule holds it
    state = {n: p.detach().clone() for n, p in wrapped.named_parameters()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        ("compile", "_orig_mod. of torch.compile"),
        ("compiled layers", "_orig_mod. of torch.compile"),
        ("checkpointing", "_checkpoint_wrapped_module. of activation checkpointing"),
        ("parallel", "module. of DDP or DeepSpeed"),
        ("peft", "base_model.model. of PEFT"),
        ("attribute", "model. of a module that holds the model as its model"),
    ],
)
def test_wrapped_model_is_released_under_its_own_names(
    wrapper: str, said: str, llama: Path, model: Path, merge: Merge
) -> None:
    saved_by(wrapper, model)
    assert load_all(model).keys() != load_all(llama).keys()
    assert said in open_checkpoint(model).base.unwrapped
    made = merge(model, None)
    expected = load_all(llama)
    written = load_all(made.path)
    assert written.keys() == expected.keys()
    assert all(same_bits(written[name], tensor) for name, tensor in expected.items())


def test_adapter_on_a_wrapped_base(
    llama: Path, model: Path, adapter: Path, merge: Merge, tmp_path: Path
) -> None:
    expected = load_all(merge(llama, adapter).path)
    saved_by("compile", model)
    written = load_all(Merge(tmp_path / "other")(model, adapter).path)
    assert written.keys() == expected.keys()
    assert all(same_bits(written[name], tensor) for name, tensor in expected.items())


def test_names_that_are_the_models_own_stay(llama: Path) -> None:
    assert open_checkpoint(llama).base.unwrapped == ()


def test_names_that_collide_without_a_wrapper(model: Path) -> None:
    tensors = load_all(model)
    tensors["_orig_mod.lm_head.weight"] = tensors["lm_head.weight"] + 1
    save_file(tensors, model / "model.safetensors")
    with pytest.raises(SourceError, match=r"_orig_mod\.lm_head\.weight and lm_head\.weight"):
        open_checkpoint(model)


def test_adapter_that_was_never_merged(model: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    wrapped = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model, dtype="auto"),
        LoraConfig(target_modules=["q_proj"]),
    )
    inner = wrapped.base_model.model.state_dict()  # what get_base_model().save_pretrained writes
    save_file({n: t.clone() for n, t in inner.items()}, model / "model.safetensors")
    with pytest.raises(SourceError, match=r"never merged.*q_proj\.(base_layer|lora_A)") as caught:
        open_checkpoint(model)
    assert "merge_and_unload" in (caught.value.next or "")


def test_parameters_that_zero_3_left_empty(model: Path) -> None:
    tensors = {n: torch.empty(0, dtype=t.dtype) for n, t in load_all(model).items()}
    save_file(tensors, model / "model.safetensors")
    with pytest.raises(SourceError, match=r"shape \[0\].*ZeRO-3") as caught:
        open_checkpoint(model)
    assert "zero_to_fp32.py" in (caught.value.next or "")


def test_parameters_that_fsdp_flattened(model: Path) -> None:
    rename(model, lambda name: name.replace("q_proj.weight", "_flat_param"))
    with pytest.raises(SourceError, match=r"flattened.*_flat_param"):
        open_checkpoint(model)


def test_save_that_failed_after_the_configuration(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8,
                                         num_hidden_layers=1, num_attention_heads=1))  # fmt: skip
    model.generation_config.temperature = 0.5
    model.generation_config.do_sample = False
    with pytest.raises(ValueError, match="temperature"):
        model.save_pretrained(tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["config.json"]
    with pytest.raises(SourceError, match="a save that fails leaves this") as caught:
        open_checkpoint(tmp_path / "model")
    assert "save_pretrained raises" in (caught.value.next or "")


def test_shards_without_their_index(tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "model", shards="30KB")
    count = len(list(folder.glob("model-*")))
    (folder / "model.safetensors.index.json").unlink()
    next(folder.glob("model-*")).unlink()
    with pytest.raises(SourceError, match=f"{count - 1} of {count} weight files and no .*index"):
        open_checkpoint(folder)


def test_shards_that_are_missing_are_counted(tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "model", shards="30KB")
    shards = sorted(folder.glob("model-*"))
    for shard in shards[:2]:
        shard.unlink()
    words = f"of {len(shards)} files that it names, {shards[0].name} and 1 more is not there"
    with pytest.raises(SourceError, match=words):
        open_checkpoint(folder)


def test_index_of_shards_that_a_later_save_removed(tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "model", shards="30KB")
    save_llama(folder)  # one file: removes the shards and leaves their index
    assert (folder / "model.safetensors.index.json").exists()
    assert not list(folder.glob("model-*"))
    assert set(open_checkpoint(folder).names) == set(load_all(folder))


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("trained", [True, False])
def test_older_file_before_newer_shards(trained: bool, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = save_llama(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    if trained:
        model.lm_head.weight.data += 1
    model.save_pretrained(folder, max_shard_size="50KB")
    assert (folder / "model.safetensors").exists()  # transformers left it, and loads it
    touch(folder / "model.safetensors", 1_000_000)
    if not trained:  # the same model in two forms, as some repositories have it
        open_checkpoint(folder)
        return
    with pytest.raises(SourceError, match="two models.*written later.*older one") as caught:
        open_checkpoint(folder)
    assert "move model.safetensors away" in (caught.value.next or "")
