"""What the plan says of engines: one line for a format, where a server will not take it."""

from __future__ import annotations

import pytest

from uploader_lora.task import Task
from uploader_lora.where_it_runs import Described, Form, of_model, planned
from uploader_lora.where_it_runs.verdicts import facts

TEXT = Task(tag="text-generation")


def said(kind: str, form: Form, task: Task = TEXT, **model: object) -> list[str]:
    described = Described(architectures=("MixtralForCausalLM",), model_type="mixtral", **model)  # type: ignore[arg-type]
    return [finding.what for finding in planned(kind, of_model(form, described), task)]


def test_nothing_is_said_where_every_server_loads_it() -> None:
    assert said("merged-16bit", "16-bit") == []


@pytest.mark.parametrize(
    ("kind", "form", "model", "sentence"),
    [
        ("merged-4bit", "bitsandbytes", {}, "loads merged-4bit with vllm-bnb-plugin alone"),
        ("gguf", "gguf", {"split": True}, "Ollama will not load gguf: it loads no file"),
        ("compressed-mxfp4", "compressed", {"scheme": "mxfp4"}, "it has no code for mxfp4"),
        (
            "merged-16bit",
            "16-bit",
            {"names": ("model.layers.0.mlp.gate.weight",)},
            "names such as model.layers.0.mlp.gate.weight",
        ),
    ],
)
def test_one_line_says_who_does_not(
    kind: str, form: Form, model: dict[str, object], sentence: str
) -> None:
    (line,) = said(kind, form, **model)
    assert sentence in line


def test_nothing_is_said_of_gguf_and_servers_that_nobody_brings_it_to() -> None:
    assert said("gguf", "gguf") == []


def test_nothing_is_said_of_other_tasks() -> None:
    assert said("gguf", "gguf", Task(tag="text-classification")) == []


def test_it_says_what_to_do_once() -> None:
    described = Described(
        architectures=("MixtralForCausalLM",), names=("model.layers.0.mlp.gate.weight",)
    )
    (finding,) = planned("merged-16bit", of_model("16-bit", described), TEXT)
    assert finding.next == "release `merged-16bit` with `--merged-names original`"
    assert finding.what == (
        f"vLLM {facts()['vLLM']['version']} and SGLang {facts()['SGLang']['version']} will not "
        "load merged-16bit: it has no place for names such as model.layers.0.mlp.gate.weight"
    )
