"""The adapter itself as GGUF: llama.cpp with base and adapter says what peft says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gguf_llamas import fine_tune
from gguf_oracles import convert
from uploader_core.plugin import Artifact, OutputFolder, PlanContext, ReleaseInfo, StepContext
from uploader_gguf import lora
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp import smoke
from uploader_gguf.settings import GgufSettings

PROMPT = "The quick"


@pytest.fixture(scope="module")
def base_gguf(odd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(odd_folder, tmp_path_factory.mktemp("base"), ("F32",), smoke_test=False)["F32"]


def inputs(base: Path, adapter: Path) -> tuple[Artifact, ...]:
    return (Artifact(kind="adapter", path=adapter), Artifact(kind="base", path=base))


def make(base: Path, adapter: Path, place: Path, **settings: Any) -> Path:
    context = StepContext(
        step="gguf:gguf-lora",
        inputs=inputs(base, adapter),
        settings=GgufSettings(**settings),
        release=ReleaseInfo(name="my-model", source="adapter"),
        output=OutputFolder(place / "gguf-lora", place / "scratch"),
        work=place / "work",
        produces="gguf-lora",
    )
    artifact = lora.convert(context)
    return artifact.path / artifact.files[0].name


def peft_tokens(base: Path, adapter: Path, count: int) -> list[int]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(model, adapter)
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    out = tuned.generate(input_ids=ids, max_new_tokens=count, do_sample=False, eos_token_id=-1)
    return out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"use_rslora": True, "rank_pattern": {"q_proj": 4}, "lora_alpha": 7},
            id="rslora-patterns",
        ),
        pytest.param({"use_rslora": True}, id="rslora", marks=pytest.mark.slow),
        pytest.param(
            {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"v_proj": 5}},
            id="patterns",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_llama_cpp_with_the_adapter_says_what_peft_says(
    config: dict[str, Any], odd_folder: Path, base_gguf: Path, tmp_path: Path
) -> None:
    adapter, _ = fine_tune(odd_folder, tmp_path, **config)
    path = make(odd_folder, adapter, tmp_path)
    assert path.name == "my-model-F32-LoRA.gguf"
    # Random weights leave small gaps between tokens, and llama.cpp keeps keys and values in F16.
    with_adapter = smoke.ask(base_gguf, PROMPT, 8, lora=path).tokens
    assert with_adapter == peft_tokens(odd_folder, adapter, 8)
    assert with_adapter != smoke.ask(base_gguf, PROMPT, 8).tokens


@pytest.mark.slow
def test_embeddings_of_an_untied_model_work(llama_folder: Path, tmp_path: Path) -> None:
    base = convert(llama_folder, tmp_path / "base", ("F32",), smoke_test=False)["F32"]
    adapter, _ = fine_tune(llama_folder, tmp_path, target_modules=["q_proj", "embed_tokens"])
    path = make(llama_folder, adapter, tmp_path)
    tokens = smoke.ask(base, PROMPT, 8, lora=path).tokens
    assert tokens == peft_tokens(llama_folder, adapter, 8)


def test_an_equal_scale_everywhere_leaves_the_values_alone(
    odd_folder: Path, tmp_path: Path
) -> None:
    adapter, _ = fine_tune(odd_folder, tmp_path, use_rslora=True, r=9, lora_alpha=9)
    keys = read_header(make(odd_folder, adapter, tmp_path)).keys
    assert keys["adapter.lora.alpha"] == 27.0  # alpha * sqrt(r)
    assert keys["general.name"] == "My Model"


def test_embeddings_of_a_tied_model_are_refused(odd_folder: Path, tmp_path: Path) -> None:
    adapter, _ = fine_tune(odd_folder, tmp_path, target_modules=["q_proj", "embed_tokens"])
    context = PlanContext(
        inputs=inputs(odd_folder, adapter),
        settings=GgufSettings(),
        release=ReleaseInfo(name="m", source="adapter"),
        output=tmp_path,
    )
    assert any("are also its output" in finding.what for finding in lora.check(context))


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole tensors"),
        ({"trainable_token_indices": [1, 2]}, "trained tokens"),
        ({"lora_bias": True, "target_modules": ["q_proj"]}, "biases"),
    ],
)
def test_what_a_gguf_adapter_cannot_hold_is_refused(
    config: dict[str, Any], what: str, llama_folder: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig

    attention_bias = LlamaConfig.from_pretrained(llama_folder, attention_bias=True)
    model = AutoModelForCausalLM.from_config(attention_bias)
    kept = {"target_modules": "all-linear", **config}
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **kept))
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B.default.bias"):
            parameter.data += 1
    model.save_pretrained(tmp_path)
    context = PlanContext(
        inputs=inputs(llama_folder, tmp_path),
        settings=GgufSettings(),
        release=ReleaseInfo(name="m", source="adapter"),
        output=tmp_path,
    )
    findings = list(lora.check(context))
    assert any(what in finding.what and finding.level == "error" for finding in findings)
    assert all("--plugins gguf" in str(finding.next) for finding in findings)


def test_the_estimate_is_close(odd_folder: Path, tmp_path: Path) -> None:
    adapter, _ = fine_tune(odd_folder, tmp_path)
    context = PlanContext(
        inputs=inputs(odd_folder, adapter),
        settings=GgufSettings(),
        release=ReleaseInfo(name="my-model", source="adapter"),
        output=tmp_path,
    )
    real = make(odd_folder, adapter, tmp_path).stat().st_size
    assert lora.estimate(context).bytes_written == pytest.approx(real, rel=0.05)
