"""What is said of engines that load full models, and how a card shows it."""

from __future__ import annotations

import pytest

from uploader_lora.task import Task
from uploader_lora.where_it_runs import Described, Form, Verdict, of_model, recorded, shown

LLAMA = Described(architectures=("LlamaForCausalLM",), model_type="llama")
TEXT = Task(tag="text-generation")


def states(form: Form, model: Described = LLAMA) -> dict[str, str]:
    return {verdict.engine: verdict.state for verdict in of_model(form, model)}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("16-bit", "runs runs runs runs not not runs"),
        ("bitsandbytes", "with with runs unknown not not not"),
        ("compressed", "with runs runs unknown not not not"),
        ("gguf", "not with unknown not runs runs not"),
        ("gguf-lora", "not not not not runs runs not"),
    ],
)
def test_each_form_has_an_answer_for_each_engine(form: Form, expected: str) -> None:
    engines = ("transformers", "vLLM", "SGLang", "TGI", "llama.cpp", "Ollama", "MLX")
    assert states(form) == dict(zip(engines, expected.split(), strict=True))


def test_an_architecture_without_code_of_its_own_is_not_known() -> None:
    found = states("16-bit", Described(architectures=("NewForCausalLM",), model_type="new"))
    assert {engine for engine, state in found.items() if state == "unknown"} == {
        "vLLM", "SGLang", "TGI", "MLX",
    }  # fmt: skip


def test_a_kind_that_one_server_lacks() -> None:
    found = states("compressed", Described(architectures=("LlamaForCausalLM",), scheme="mxfp4"))
    assert (found["vLLM"], found["SGLang"]) == ("runs", "not")


def test_a_card_says_what_to_do_instead() -> None:
    rows = shown(recorded(of_model("gguf", Described()), TEXT))
    assert any(row.startswith("| vLLM 0.") and "`vllm-gguf-plugin`" in row for row in rows)
    assert rows[-1].endswith("| no | mlx-lm does not read GGUF: release `mlx` for it |")


def test_nothing_is_said_of_other_tasks_and_of_older_releases() -> None:
    verdicts = [Verdict(engine="vLLM", state="runs")]
    assert recorded(verdicts, Task(tag="text-classification")) == {}
    assert shown({}) == []


@pytest.mark.parametrize(
    ("architecture", "name", "engine"),
    [
        ("MixtralForCausalLM", "model.layers.0.mlp.experts.gate_up_proj", "vLLM"),
        ("DeepseekV3ForCausalLM", "model.layers.1.mlp.experts.down_proj", "vLLM"),
        ("Gemma3ForConditionalGeneration", "vision_tower.embeddings.patch_embedding.bias", "vLLM"),
        ("Qwen3MoeForCausalLM", "model.layers.0.mlp.experts.gate_up_proj", "SGLang"),
    ],
)
def test_names_that_an_engine_does_not_load_are_not_claimed(
    architecture: str, name: str, engine: str
) -> None:
    described = Described(architectures=(architecture,), names=("lm_head.weight", name))
    found = {verdict.engine: verdict for verdict in of_model("16-bit", described)}
    assert found[engine].because == f"it has no place for names such as {name}"
    assert found[engine].instead == "release `merged-16bit` with `--merged-names original`"
    assert found["MLX"].because.endswith(f"a place for names such as {name}")


def test_released_names_are_loaded() -> None:
    name = "model.layers.0.block_sparse_moe.experts.3.w2.weight"
    found = states("16-bit", Described(architectures=("MixtralForCausalLM",), names=(name,)))
    assert (found["vLLM"], found["SGLang"]) == ("runs", "runs")


def test_names_that_no_rename_mends_come_without_that_advice() -> None:
    described = Described(
        architectures=("OlmoHybridForCausalLM",),
        names=("model.layers.0.attention_layer_norm.weight",),
    )
    found = {verdict.engine: verdict for verdict in of_model("16-bit", described)}
    assert (found["vLLM"].state, found["vLLM"].instead) == ("not", "")
