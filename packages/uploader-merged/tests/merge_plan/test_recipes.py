"""Adapters that change more than weights: stacked layers, changed bases, other initialisations.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from json_files import edit_json
from merged_models import save
from merged_tools import Merge, peft_merged, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint

pytestmark = pytest.mark.bits


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(1, 30)[None], use_cache=False).logits


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("qwen3", tmp_path_factory.mktemp("deep"))


def test_lists_for_each_layer_follow_stacked_layers(deep: Path, tmp_path: Path) -> None:
    adapter = train(deep, tmp_path / "a", target_modules=["q_proj"])
    edit_json(adapter / "adapter_config.json", layer_replication=[[0, 2], [1, 2]])
    checkpoint = open_checkpoint(deep, adapter)
    assert checkpoint.config["num_hidden_layers"] == 3
    assert len(checkpoint.config["layer_types"]) == 3


def test_stacked_layers(llama: Path, tmp_path: Path, merge: Merge) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ranges = [[0, 2], [1, 2], [0, 1]]
    adapter = train(llama, tmp_path / "a", target_modules=["q_proj"], layer_replication=ranges)
    made = merge(llama, adapter, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(model, adapter))
    ours = AutoModelForCausalLM.from_pretrained(made.path)
    assert ours.config.num_hidden_layers == 4
    torch.testing.assert_close(logits(ours), expected, atol=2e-5, rtol=2e-5)


def test_more_layers_than_there_are(deep: Path, tmp_path: Path) -> None:
    adapter = train(deep, tmp_path / "a", target_modules=["q_proj"])
    edit_json(adapter / "adapter_config.json", layer_replication=[[0, 5]])
    with pytest.raises(SourceError, match="has 2 layers"):
        open_checkpoint(deep, adapter)


@pytest.mark.parametrize("initialisation", ["pissa", "olora"])
def test_base_that_training_changed(
    initialisation: str, llama: Path, tmp_path: Path, merge: Merge
) -> None:
    """Refused as it is; merged when PEFT converted it to a change of the original base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        lora_alpha=4,
        target_modules=["q_proj", "up_proj"],
        init_lora_weights=initialisation,
    )
    tuned = get_peft_model(model, config)
    tuned.peft_config["default"].init_lora_weights = True
    tuned.save_pretrained(tmp_path / "start")
    tuned.peft_config["default"].init_lora_weights = initialisation
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.data += 0.05 * torch.randn_like(parameter)
    expected = logits(tuned)
    tuned.save_pretrained(tmp_path / "raw")
    with pytest.raises(SourceError, match=initialisation):
        open_checkpoint(llama, tmp_path / "raw")
    tuned.save_pretrained(
        tmp_path / "converted", path_initial_model_for_weight_conversion=tmp_path / "start"
    )
    made = merge(llama, tmp_path / "converted", dtype="float32")
    ours = AutoModelForCausalLM.from_pretrained(made.path)
    torch.testing.assert_close(logits(ours), expected, atol=2e-4, rtol=2e-4)


def test_adapter_of_another_name(llama: Path, tmp_path: Path, merge: Merge) -> None:
    """PEFT saves an adapter that is not called ``default`` into a folder of its name."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_pretrained(llama)
    tuned = get_peft_model(model, LoraConfig(target_modules=["q_proj"]), adapter_name="french")
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.data += 0.05 * torch.randn_like(parameter)
    tuned.save_pretrained(tmp_path / "run")
    made = merge(llama, tmp_path / "run" / "french")
    reference, _ = peft_merged(llama, tmp_path / "run" / "french")
    ours = load_all(made.path)
    assert not [name for name in ours if not same_bits(ours[name], reference[name])]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_other_types_of_base(dtype: torch.dtype, tmp_path: Path, merge: Merge) -> None:
    base = save("llama", tmp_path / "base", dtype)
    adapter = train(base, tmp_path / "a", r=8, lora_alpha=13, target_modules="all-linear")
    ours = load_all(merge(base, adapter).path)
    reference, _ = peft_merged(base, adapter)
    assert {t.dtype for t in ours.values()} == {dtype}
    assert not [name for name in ours if not same_bits(ours[name], reference[name])]
