"""What is said of engines that load adapters, against what their own code checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uploader_lora import read_adapter
from uploader_lora.adapter import FullTensor
from uploader_lora.where_it_runs import Described, Verdict, of_adapter

LLAMA = Described(architectures=("LlamaForCausalLM",), model_type="llama")


def judged(folder: Path, base: Described = LLAMA, **flags: Any) -> dict[str, Verdict]:
    """Return the verdicts on an adapter whose configuration says something else besides."""
    adapter = read_adapter(folder)
    adapter = replace(adapter, config=replace(adapter.config, **flags))
    return {verdict.engine: verdict for verdict in of_adapter(adapter, base)}


def test_a_plain_adapter_runs_on_every_server(adapter: Path) -> None:
    found = judged(adapter)
    assert {engine for engine, verdict in found.items() if verdict.state == "runs"} == {
        "vLLM", "SGLang", "TGI",
    }  # fmt: skip
    assert found["transformers"].needs == "peft"
    assert found["llama.cpp"].instead == "release `gguf-lora` for it"


@pytest.mark.parametrize(
    ("flags", "vllm", "sglang"),
    [
        ({"use_dora": True}, "not", "not"),
        ({"use_rslora": True}, "runs", "not"),
        ({"bias": "all"}, "not", "not"),
        ({"lora_bias": True}, "not", "not"),
        ({"rank_pattern": {"q_proj": 4}}, "runs", "not"),
        ({"alpha_pattern": {"q_proj": 4.0}}, "runs", "not"),
        ({"initialisation": "pissa"}, "not", "not"),
        ({"layer_replication": ((0, 2),)}, "not", "not"),
        ({"trainable_tokens": {None: (5,)}}, "not", "not"),
        ({"r": 17}, "with", "runs"),
        ({"r": 513}, "not", "runs"),
        ({"modules_to_save": ("classifier",)}, "runs", "runs"),
        ({"modules_to_save": ("lm_head",)}, "not", "runs"),
    ],
    ids=str,
)
def test_each_feature_has_its_answer(
    adapter: Path, flags: dict[str, Any], vllm: str, sglang: str
) -> None:
    found = judged(adapter, **flags)
    assert (found["vLLM"].state, found["SGLang"].state) == (vllm, sglang)
    for verdict in found.values():
        assert bool(verdict.because) is (verdict.state in ("not", "unknown"))


def test_gguf_is_advised_in_the_form_that_holds_the_adapter(adapter: Path) -> None:
    assert judged(adapter, use_dora=True)["Ollama"].instead == "release `gguf` for it"
    assert judged(adapter, use_rslora=True)["Ollama"].instead == "release `gguf-lora` for it"


@pytest.mark.parametrize(
    ("rank", "option"), [(16, ""), (20, "32"), (128, "128"), (300, "320"), (512, "512")]
)
def test_vllm_is_told_of_ranks_above_its_default(adapter: Path, rank: int, option: str) -> None:
    expected = f"--max-lora-rank {option}" if option else ""
    assert judged(adapter, rank_pattern={"q_proj": rank})["vLLM"].needs == expected


def test_a_module_that_is_stored_whole_is_left_out_by_sglang(adapter: Path) -> None:
    read = read_adapter(adapter)
    tensor = next(iter(read.tensors.values()))
    whole = FullTensor(module="x", parameter="weight", tensor=tensor, reason="modules_to_save")
    found = of_adapter(replace(read, replacements=(whole,)), LLAMA)
    assert next(v for v in found if v.engine == "SGLang").because.endswith("stored whole")


def test_a_base_that_an_engine_has_no_code_for_is_not_claimed(adapter: Path) -> None:
    found = judged(adapter, Described(architectures=("SomeNewForCausalLM",), model_type="new"))
    assert {found[engine].state for engine in ("vLLM", "SGLang", "TGI")} == {"unknown"}
    assert found["vLLM"].because == "it has no code of its own for SomeNewForCausalLM"


def test_what_one_scale_mends_is_not_merged_for_it(adapter: Path) -> None:
    found = judged(adapter, use_rslora=True, rank_pattern={"q_proj": 4})["SGLang"]
    assert found.instead == "release `lora-serving` for it"
    found = judged(adapter, use_rslora=True, use_dora=True)["SGLang"]
    assert "`lora-serving-lossy`, which is near it" in found.instead
    found = judged(adapter, use_rslora=True, bias="all")["SGLang"]
    assert found.instead == "release `merged-16bit` for it"
