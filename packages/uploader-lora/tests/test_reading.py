"""Every flag and key of an adapter has a meaning, or is refused by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from json_files import edit_json
from lora_tools import save_adapter, tiny_llama
from uploader_core.plugin import SourceError
from uploader_lora import read_adapter


def rename(folder: Path, old: str, new: str) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({name.replace(old, new): t for name, t in load_file(file).items()}, file)


def test_ranks_and_scales_follow_the_patterns(tmp_path: Path) -> None:
    folder = save_adapter(
        tmp_path,
        r=8,
        lora_alpha=12,
        use_rslora=True,
        target_modules=["q_proj", "k_proj"],
        rank_pattern={r"^model\.layers\.0\.self_attn\.q_proj": 2, "q_proj": 4},
        alpha_pattern={"k_proj": 5},
    )
    updates = {u.module.removeprefix("model.layers."): u for u in read_adapter(folder).updates}
    assert updates["0.self_attn.q_proj"].rank == 2
    assert updates["1.self_attn.q_proj"].rank == 4
    assert updates["0.self_attn.q_proj"].scale == 12 / math.sqrt(2)
    assert updates["1.self_attn.k_proj"].scale == 5 / math.sqrt(8)


def test_scales_are_those_of_peft(tmp_path: Path) -> None:
    from peft import PeftModel

    patterns: dict[str, Any] = {
        "rank_pattern": {".*q_proj": 5, "v_proj": 3},
        "alpha_pattern": {"self_attn.q_proj": 7, r"layers\.1\..*v_proj": 9},
    }
    folder = save_adapter(tmp_path, target_modules=["q_proj", "v_proj"], **patterns)
    model = PeftModel.from_pretrained(tiny_llama(), folder)
    for update in read_adapter(folder).updates:
        layer = model.get_submodule(f"base_model.model.{update.module}")
        assert update.scale == layer.scaling["default"]
        assert update.rank == layer.r["default"]


def test_order_of_overlapping_patterns_is_lost_when_peft_saves(tmp_path: Path) -> None:
    """The rank can be seen in the tensors; of two alphas nobody knows which was meant."""
    folder = save_adapter(
        tmp_path,
        target_modules=["q_proj"],
        rank_pattern={"q_proj": 4, "0.self_attn.q_proj": 2},
    )
    assert {u.rank for u in read_adapter(folder).updates} == {4}
    file = folder / "adapter_config.json"
    edit_json(file, alpha_pattern={"0.self_attn.q_proj": 2, "q_proj": 4})
    with pytest.raises(SourceError, match="alpha_pattern"):
        read_adapter(folder)
    edit_json(file, alpha_pattern={"q_proj": 4, "0.self_attn.q_proj": 2})
    assert {u.scale for u in read_adapter(folder).updates} == {1.0}


def test_adapter_name_inside_the_keys(adapter: Path) -> None:
    plain = read_adapter(adapter)
    rename(adapter, ".weight", ".default.weight")
    named = read_adapter(adapter)
    assert [u.module for u in named.updates] == [u.module for u in plain.updates]


def test_two_adapter_names(adapter: Path) -> None:
    rename(adapter, "0.self_attn.q_proj.lora_A.weight", "0.self_attn.q_proj.lora_A.other.weight")
    with pytest.raises(SourceError, match="several adapters"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"peft_type": None}, "peft_type"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"kasa_config": {"beta": 1.0}}, "kasa_config"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
        ({"use_qalora": True}, "use_qalora"),
        ({"arrow_config": {"top_k": 3}}, "arrow_config"),
        ({"velora_config": {"scale": 1.0}}, "velora_config"),
        ({"monteclora_config": {"num_samples": 3}}, "monteclora_config"),
        ({"megatron_config": {"x": 1}}, "megatron_config"),
        ({"init_lora_weights": "mica"}, "mica"),
        ({"init_lora_weights": "brand-new"}, "brand-new"),
        ({"use_frobnication": True}, "use_frobnication"),
        ({"frobnication": 0.5}, "frobnication"),
        ({"r": 0}, "r = 0"),
        ({"r": "8"}, "r = 8"),
        ({"r": True}, "r = True"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"bias": "some"}, "bias"),
        ({"use_dora": "yes"}, "use_dora"),
        ({"rank_pattern": [1]}, "rank_pattern"),
        ({"rank_pattern": {"q_proj": -1}}, "rank_pattern"),
        ({"rank_pattern": {"(": 4}}, "regular expression"),
        ({"modules_to_save": "lm_head"}, "modules_to_save"),
        ({"trainable_token_indices": [1, 1]}, "twice"),
        ({"trainable_token_indices": [-1]}, "row numbers"),
        ({"layer_replication": [[3, 1]]}, "layer_replication"),
    ],
)
def test_flags_that_are_refused(flags: dict[str, Any], words: str, adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", **flags)
    with pytest.raises(SourceError, match=words) as caught:
        read_adapter(adapter)
    assert "peft 0." in caught.value.what
    assert caught.value.next


@pytest.mark.parametrize("value", [None, False, [], {}, "", 0])
def test_unknown_flags_that_are_off_are_nobody_s_business(value: object, adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", from_the_future=value)
    assert read_adapter(adapter).updates


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("base_model.model.", "", "base_model.model."),
        ("q_proj.lora_A.weight", "q_proj.lora_C.weight", "lora_C"),
        ("0.self_attn.q_proj.lora_B", "0.self_attn.o_proj.lora_B", "q_proj|o_proj"),
        ("v_proj.lora_A.weight", "v_proj.lora_embedding_A", "lora_embedding_A"),
        ("q_proj.lora_A.weight", "q_proj.lora_diag.weight", "lora_diag"),
        ("q_proj.lora_A.weight", "q_proj.weight", "q_proj.weight"),
    ],
)
def test_keys_that_are_refused(old: str, new: str, words: str, adapter: Path) -> None:
    rename(adapter, old, new)
    with pytest.raises(SourceError, match=words):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": 16}, "rank 8"),
        ({"use_dora": True}, "use_dora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"trainable_token_indices": [4]}, "trainable_token_indices"),
        ({"rank_pattern": {"q_proj": 4}}, "q_proj"),
    ],
)
def test_configuration_and_tensors_that_disagree(
    changes: dict[str, Any], words: str, adapter: Path
) -> None:
    edit_json(adapter / "adapter_config.json", **changes)
    with pytest.raises(SourceError, match=words):
        read_adapter(adapter)


def test_shapes_that_do_not_fit_each_other(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if "lora_B" in n)
    tensors[name] = tensors[name][:, :5].contiguous()
    save_file(tensors, file)
    with pytest.raises(SourceError, match="must both be the rank"):
        read_adapter(adapter)


def test_parts_that_were_not_gathered(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if "lora_A" in n)
    tensors[name] = tensors[name].new_empty(0)
    save_file(tensors, file)
    with pytest.raises(SourceError, match="DeepSpeed"):
        read_adapter(adapter)


def test_pickles_are_not_opened(adapter: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return (Path(adapter / "ran").touch, ())

    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SourceError, match="pickle") as caught:
        read_adapter(adapter)
    assert "uploader convert-pickle" in (caught.value.next or "")
    assert not (adapter / "ran").exists()


def test_pickle_is_converted_as_the_error_says(adapter: Path) -> None:
    import torch

    file = adapter / "adapter_model.safetensors"
    before = load_file(file)
    torch.save(before, adapter / "adapter_model.bin")
    file.unlink()
    with pytest.raises(SourceError) as caught:
        read_adapter(adapter)
    command = (caught.value.next or "").partition(",")[0].split()
    assert command[0] == "uploader"
    subprocess.run([sys.executable, "-m", "uploader_core", *command[1:]], check=True)
    assert load_file(file).keys() == before.keys()


def test_folder_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no adapter"):
        read_adapter(tmp_path)


def test_configuration_that_is_no_json(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text("{'r': 8}", "utf-8")
    with pytest.raises(SourceError, match="adapter_config.json"):
        read_adapter(adapter)


def test_everything_that_peft_stores_has_a_meaning(tmp_path: Path) -> None:
    folder = save_adapter(
        tmp_path,
        target_modules=["q_proj", "embed_tokens"],
        use_dora=True,
        modules_to_save=["lm_head"],
    )
    adapter = read_adapter(folder)
    assert {u.form for u in adapter.updates} == {"matrix", "embedding"}
    assert all(u.magnitude for u in adapter.updates)
    assert [(f.module, f.reason) for f in adapter.replacements] == [("lm_head", "modules_to_save")]


@pytest.mark.parametrize(
    ("names", "saved"),
    [
        (["norm"], {"input_layernorm", "post_attention_layernorm", "norm"}),
        (["0.mlp"], {"gate_proj", "up_proj", "down_proj"}),
        (["model.norm"], {"norm"}),
    ],
    ids=["any end", "what lies in it", "path"],
)
def test_whole_modules_are_matched_by_the_end_of_their_names(
    names: list[str], saved: set[str], tmp_path: Path
) -> None:
    folder = save_adapter(tmp_path, target_modules=["q_proj"], modules_to_save=names)
    adapter = read_adapter(folder)
    assert {full.module.rpartition(".")[2] for full in adapter.replacements} == saved
    assert not adapter.unstored


@pytest.mark.parametrize("task", ["SEQ_CLS", "TOKEN_CLS"])
def test_classifier_has_one_of_the_two_heads_that_peft_lists(task: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForSequenceClassification

    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    model = LlamaForSequenceClassification(LlamaConfig(num_hidden_layers=1, **sizes))
    flags = {"task_type": task, "target_modules": ["q_proj"]}
    get_peft_model(model, LoraConfig(**flags)).save_pretrained(tmp_path)
    adapter = read_adapter(tmp_path)
    assert set(adapter.config.modules_to_save) == {"classifier", "score"}
    assert [full.module for full in adapter.replacements] == ["score"]
    assert adapter.unstored == ("classifier",)


def test_trained_rows(tmp_path: Path) -> None:
    adapter = read_adapter(
        save_adapter(tmp_path, target_modules=["q_proj"], trainable_token_indices=[3, 1])
    )
    (rows,) = adapter.token_rows
    assert rows.rows == (3, 1)
    assert rows.module == "model.embed_tokens"


def test_reading_needs_neither_torch_nor_peft(adapter: Path) -> None:
    code = (
        "import sys, pathlib, uploader_lora, uploader_lora.save, uploader_lora.plugin;"
        "uploader_lora.read_adapter(pathlib.Path(sys.argv[1]));"
        "print([m for m in ('torch','peft','numpy','safetensors','transformers')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(adapter)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_what_zero3_left_without_values_is_refused(tmp_path: Path) -> None:
    """As in huggingface/peft#2450: the matrices were gathered, what is saved whole was not."""
    folder = save_adapter(tmp_path, target_modules=["q_proj"], modules_to_save=["lm_head"])
    file = folder / "adapter_model.safetensors"
    tensors = {n: t if "lora" in n else t.new_zeros(0) for n, t in load_file(file).items()}
    save_file(tensors, file)
    with pytest.raises(SourceError, match=r"lm_head\.weight' has the shape \[0\]") as caught:
        read_adapter(folder)
    assert "stage3_gather_16bit_weights_on_model_save" in str(caught.value.next)


def test_an_empty_adapter_beside_zero3_shards_says_where_the_weights_are(tmp_path: Path) -> None:
    """As in huggingface/trl#4416: a file of 40 bytes, and the weights in ``global_step60``."""
    folder = save_adapter(tmp_path, target_modules=["q_proj"])
    save_file({}, folder / "adapter_model.safetensors")
    (folder / "global_step60").mkdir()
    with pytest.raises(SourceError, match="DeepSpeed's shards lie beside it") as caught:
        read_adapter(folder)
    assert "zero_to_fp32.py" in str(caught.value.next)


WRAPPED = {
    "base_model.model.": "_orig_mod.base_model.model.",
    "base_model.model.model.": "base_model.model._orig_mod.model.",
    "base_model": "module.base_model",
    ".self_attn.": "._fsdp_wrapped_module._checkpoint_wrapped_module.self_attn.",
}


@pytest.mark.parametrize(("old", "new"), WRAPPED.items(), ids=WRAPPED.values())
def test_names_that_a_wrapper_changed_mean_what_they_did(old: str, new: str, adapter: Path) -> None:
    """torch.compile, DDP, FSDP and checkpointing leave their names where a script saves itself."""
    plain = read_adapter(adapter)
    rename(adapter, old, new)
    wrapped = read_adapter(adapter)
    assert [u.module for u in wrapped.updates] == [u.module for u in plain.updates]
    assert wrapped.unwrapped
    assert not plain.unwrapped


def test_flag_of_the_first_peft_says_nothing_of_the_weights(adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", merge_weights=True, enable_lora=None)
    assert read_adapter(adapter).updates


@pytest.mark.parametrize(
    ("task", "loader"),
    [
        ("CAUSAL_LM", "AutoPeftModelForCausalLM"),
        ("SEQ_CLS", "AutoPeftModelForSequenceClassification"),
        (None, "AutoPeftModel"),
    ],
)
def test_other_types_are_merged_with_the_head_of_their_task(
    task: str | None, loader: str, adapter: Path
) -> None:
    import peft

    edit_json(adapter / "adapter_config.json", peft_type="IA3", task_type=task)
    with pytest.raises(SourceError, match="IA3") as caught:
        read_adapter(adapter)
    assert f"import {loader} as M" in str(caught.value.next)
    assert hasattr(peft, loader)
