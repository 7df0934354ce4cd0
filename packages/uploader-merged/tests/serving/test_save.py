"""The adapter for servers answers as the trained one does, and is one that they load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from lora_tools import plan_context, step_context, tiny_llama
from uploader_core.plugin import Artifact, SourceError
from uploader_lora.where_it_runs import on_engine
from uploader_merged.serving.save import WEIGHTS, check, estimate, save

Trained = Callable[..., Path]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    tiny_llama().save_pretrained(folder)
    return folder


@pytest.fixture
def trained(base: Path, tmp_path: Path) -> Trained:
    """Save an adapter whose B matrices are not zero."""

    def make(**flags: Any) -> Path:
        flags = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"], **flags}
        model = get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(**flags))
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        model.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return make


def made(folder: Path, tmp_path: Path) -> Artifact:
    return save(step_context(folder, tmp_path / "release"))


def logits(base: Path, adapter: Path) -> torch.Tensor:
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter).eval()
    with torch.no_grad():
        answer: torch.Tensor = model(torch.arange(24).view(1, -1)).logits
    return answer


@pytest.mark.parametrize(
    "flags",
    [
        {"use_rslora": True},
        {"rank_pattern": {"down_proj": 4}, "alpha_pattern": {"down_proj": 8}},
        {"rank_pattern": {"q_proj": 16}},
        {"alpha_pattern": {"q_proj": 64}},
        {"target_modules": r".*\.(q|v)_proj"},
        {"init_lora_weights": "gaussian"},
    ],
    ids=str,
)
def test_it_answers_as_the_trained_one_does(
    base: Path, trained: Trained, tmp_path: Path, flags: dict[str, Any]
) -> None:
    folder = trained(**flags)
    artifact = made(folder, tmp_path)
    assert artifact.metadata["exact"] is True
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=2e-6)


def test_scales_that_are_no_powers_of_two_are_folded_into_wider_numbers(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    folder = trained(rank_pattern={"q_proj": 12})
    (finding,) = check(plan_context(folder))
    assert (finding.level, "float32" in finding.what) == ("note", True)
    artifact = made(folder, tmp_path)
    assert artifact.metadata["exact"] is False
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=2e-6)


def test_servers_load_it_that_did_not_load_the_trained_one(
    trained: Trained, tmp_path: Path
) -> None:
    folder = trained(use_rslora=True, rank_pattern={"q_proj": 16}, task_type="CAUSAL_LM")
    artifact = made(folder, tmp_path)
    for engine in ("vLLM", "SGLang", "TGI"):
        found = on_engine(artifact.metadata, engine)
        assert found is not None
        assert found.runs, engine
    config = json.loads((artifact.path / "adapter_config.json").read_text("utf-8"))
    assert (config["r"], config["use_rslora"], config["rank_pattern"]) == (16, False, {})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"use_dora": True}, "DoRA's magnitudes"),
        ({"modules_to_save": ["lm_head"]}, "whole tensors (lm_head)"),
        ({"lora_bias": True}, "biases of B"),
    ],
    ids=str,
)
def test_what_has_no_plain_form_is_refused(
    trained: Trained, flags: dict[str, Any], said: str
) -> None:
    (finding, *_) = check(plan_context(trained(**flags)))
    assert finding.level == "error"
    assert said in finding.what
    assert finding.next == "merge it instead: --plugins merged"


def test_the_plan_does_not_promise_less_than_is_written(trained: Trained, tmp_path: Path) -> None:
    folder = trained(rank_pattern={"q_proj": 12})
    artifact = made(folder, tmp_path)
    written = (artifact.path / WEIGHTS).stat().st_size
    planned = estimate(plan_context(folder)).bytes_written
    assert written <= planned < 1.5 * written + 8192


def test_a_link_that_leads_out_of_the_folder_is_refused(trained: Trained, tmp_path: Path) -> None:
    folder = trained()
    (tmp_path / "private.json").write_text("{}")
    (folder / "tokenizer_config.json").symlink_to(tmp_path / "private.json")
    with pytest.raises(SourceError, match="outside the folder"):
        list(check(plan_context(folder)))


def test_biases_of_zero_are_left_out(base: Path, trained: Trained, tmp_path: Path) -> None:
    folder = trained(lora_bias=True)
    tensors = load_file(folder / WEIGHTS)
    tensors |= {n: torch.zeros_like(t) for n, t in tensors.items() if n.endswith("lora_B.bias")}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    assert [f.what for f in check(plan_context(folder))] == [
        "biases of B are all zero, and are left out"
    ]
    artifact = made(folder, tmp_path)
    config = json.loads((artifact.path / "adapter_config.json").read_text("utf-8"))
    assert config["lora_bias"] is False
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=2e-6)
