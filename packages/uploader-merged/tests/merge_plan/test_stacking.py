"""Several adapters, one after the other, each with a weight.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save
from merged_tools import needs_fused_experts, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint

pytestmark = pytest.mark.bits

LINEAR = {"target_modules": "all-linear", "r": 5, "lora_alpha": 7}
FIRST: dict[str, dict[str, Any]] = {
    "linear": LINEAR,
    "rsLoRA": {**LINEAR, "use_rslora": True},
    "experts": {
        "target_modules": ["q_proj"],
        "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
    },
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return functools.cache(lambda kind: save(kind, tmp_path_factory.mktemp(kind)))


def peft_stacked(base: Path, adapters: list[tuple[Path, float]]) -> dict[str, torch.Tensor]:
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    names = [f"adapter{number}" for number in range(len(adapters))]
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(model, adapters[0][0], adapter_name=names[0])
        for name, (folder, _) in zip(names[1:], adapters[1:], strict=True):
            model.load_adapter(folder, adapter_name=name)
        for module in model.modules():
            if isinstance(module, LoraLayer):
                for name, (_, weight) in zip(names, adapters, strict=True):
                    if name in module.scaling:
                        module.set_scale(name, weight)
        merged = model.merge_and_unload(adapter_names=names)
    return {name: tensor.to(torch.bfloat16) for name, tensor in merged.state_dict().items()}


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, -0.3)])
@pytest.mark.parametrize(
    ("architecture", "first"), [("llama", "linear"), ("gpt2", "rsLoRA"), ("phi3", "linear")]
)
def test_bits_of_peft(
    architecture: str, first: str, weights: tuple[float, float], models: Any, tmp_path: Path
) -> None:
    base = models(architecture)
    one = train(base, tmp_path / "one", **FIRST[first])
    two = train(base, tmp_path / "two", **{**LINEAR, "r": 3})
    adapters = list(zip([one, two], weights, strict=True))
    reference = peft_stacked(base, adapters)
    checkpoint = open_checkpoint(base, adapters)
    assert len(checkpoint.touched) > 0
    for name in checkpoint.names:
        assert same_bits(checkpoint.read(name), reference[name]), name


@needs_fused_experts
def test_fused_experts_below_another_adapter(models: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = models("qwen3-moe")
    one = train(base, tmp_path / "one", **FIRST["experts"])
    two = train(base, tmp_path / "two", target_modules=["q_proj"], r=2)
    checkpoint = open_checkpoint(base, [one, (two, 0.25)])
    folder = tmp_path / "merged"
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model.save_pretrained(folder)
    before = load_all(base)
    changed = [n for n in checkpoint.names if not same_bits(checkpoint.read(n), before[n])]
    assert set(changed) == set(checkpoint.touched)
    reference = peft_stacked(base, [(one, 1.0), (two, 0.25)])
    name = "model.layers.0.self_attn.q_proj.weight"
    assert same_bits(checkpoint.read(name), reference[name])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "weight 0.5"),
        ({"target_modules": ["q_proj"], "use_dora": True}, "weight 0.5"),
        ({"target_modules": ["q_proj"], "trainable_token_indices": [1, 2]}, "weight 0.5"),
    ],
)
def test_what_cannot_count_by_halves(
    flags: dict[str, Any], words: str, models: Any, tmp_path: Path
) -> None:
    base = models("llama")
    one = train(base, tmp_path / "one", **LINEAR)
    two = train(base, tmp_path / "two", **flags)
    with pytest.raises(SourceError, match=words):
        open_checkpoint(base, [one, (two, 0.5)])


@pytest.mark.parametrize(
    ("architecture", "flags", "words"),
    [
        ("llama", {"target_modules": ["q_proj"], "use_dora": True}, "DoRA needs"),
        ("llama-tied", {"target_modules": ["embed_tokens"]}, "shares between input and output"),
    ],
)
def test_what_has_to_be_merged_one_by_one(
    architecture: str, flags: dict[str, Any], words: str, models: Any, tmp_path: Path
) -> None:
    base = models(architecture)
    one = train(base, tmp_path / "one", **LINEAR)
    two = train(base, tmp_path / "two", **flags)
    with pytest.raises(SourceError, match=words) as caught:
        open_checkpoint(base, [one, two])
    assert "uploader run SECOND --base OUT/merged-16bit" in str(caught.value.next)


def test_replacing_what_another_adapter_changed(models: Any, tmp_path: Path) -> None:
    base = models("llama")
    one = train(base, tmp_path / "one", target_modules=["lm_head"])
    two = train(base, tmp_path / "two", target_modules=["q_proj"], modules_to_save=["lm_head"])
    with pytest.raises(SourceError, match="replaced after it was changed"):
        open_checkpoint(base, [one, two])


def test_last_adapter_has_the_last_word_on_files(models: Any, tmp_path: Path) -> None:
    base = models("llama")
    one, two = (train(base, tmp_path / name, **LINEAR) for name in ("one", "two"))
    (one / "chat_template.jinja").write_text("first")
    (two / "chat_template.jinja").write_text("second")
    (one / "generation_config.json").write_text("{}")
    files = open_checkpoint(base, [one, two]).auxiliary()
    assert files["chat_template.jinja"] == two / "chat_template.jinja"
    assert files["generation_config.json"] == one / "generation_config.json"
