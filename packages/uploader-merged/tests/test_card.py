"""How to load and run a merged model is said by what it is for, and only where it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.plugin import Artifact, Json, OutputFolder, ReleaseInfo, StepContext, UseContext
from uploader_lora.task import Task, task_of
from uploader_lora.where_it_runs import Described, Form, of_model, recorded
from uploader_merged.card import commands, section

RELEASE = ReleaseInfo(name="tiny", source="adapter")


def metadata(kind: str, task: Task, architecture: str = "LlamaForCausalLM") -> dict[str, Json]:
    form: Form = "16-bit" if kind == "merged-16bit" else "bitsandbytes"
    where = of_model(form, Described(architectures=(architecture,)))
    return {**task.to_json(), **recorded(where, task)}


def card(tmp_path: Path, kind: str, task: Task) -> str:
    return section(
        StepContext(
            step="merged:x",
            inputs=(Artifact(kind=kind, path=tmp_path, metadata=metadata(kind, task)),),
            settings=None,
            release=RELEASE,
            output=OutputFolder(tmp_path, tmp_path),
            work=tmp_path,
        )
    )


def programs(tmp_path: Path, kind: str, task: Task) -> list[str]:
    artifact = Artifact(kind=kind, path=tmp_path, metadata=metadata(kind, task))
    return [name for name, _ in commands(UseContext(artifact=artifact, release=RELEASE))]


@pytest.mark.parametrize(
    ("architecture", "auto", "found"),
    [
        ("LlamaForCausalLM", "AutoModelForCausalLM", ["transformers", "vLLM"]),
        ("LlamaForSequenceClassification", "AutoModelForSequenceClassification",
         ["transformers"]),
        ("T5ForConditionalGeneration", "AutoModelForSeq2SeqLM", []),
        ("BertForMaskedLM", "AutoModelForMaskedLM", []),
    ],
)  # fmt: skip
def test_class_and_programs_are_those_of_the_task(
    tmp_path: Path, architecture: str, auto: str, found: list[str]
) -> None:
    task = task_of({"architectures": [architecture], "is_encoder_decoder": True}, {})
    text = card(tmp_path, "merged-16bit", task)
    assert f"{auto}.from_pretrained" in text
    assert ("vllm serve" in text) is ("vLLM" in found)
    assert programs(tmp_path, "merged-16bit", task) == found


def test_no_vllm_for_four_bits(tmp_path: Path) -> None:
    task = task_of({"architectures": ["LlamaForCausalLM"]}, {})
    assert "vllm serve" not in card(tmp_path, "merged-4bit", task)
    assert "yes, with `vllm-bnb-plugin`" in card(tmp_path, "merged-4bit", task)
    assert programs(tmp_path, "merged-4bit", task) == [
        "transformers, with bitsandbytes, accelerate"
    ]


def test_nothing_is_claimed_of_an_unknown_task(tmp_path: Path) -> None:
    text = card(tmp_path, "merged-16bit", Task())
    assert "Auto" not in text
    assert "vllm" not in text
    assert programs(tmp_path, "merged-16bit", Task()) == []


def test_embedding_model_is_loaded_with_its_library(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    task = task_of({}, {"modules.json": tmp_path / "modules.json"})
    text = card(tmp_path, "merged-16bit", task)
    assert 'SentenceTransformer("tiny")' in text
    assert "nothing but sentence-transformers is needed" in text
    assert programs(tmp_path, "merged-16bit", task) == ["sentence-transformers"]
