"""What a model is for, from its files; what is unknown is claimed of nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader_core.plugin import Artifact, ReleaseInfo, UseContext
from uploader_lora.card import commands
from uploader_lora.snippets import loading
from uploader_lora.task import Task, adapter_task, task_of
from uploader_lora.where_it_runs import Verdict, recorded

VISION: dict[str, Any] = {"vision_config": {}}
ENCODER: dict[str, Any] = {"is_encoder_decoder": True}


@pytest.mark.parametrize(
    ("architecture", "more", "task_type", "tag", "auto"),
    [
        ("LlamaForCausalLM", {}, None, "text-generation", "AutoModelForCausalLM"),
        ("GPT2LMHeadModel", {}, None, "text-generation", "AutoModelForCausalLM"),
        ("LlamaForSequenceClassification", {}, None, "text-classification",
         "AutoModelForSequenceClassification"),
        ("LlamaForCausalLM", {}, "SEQ_CLS", "text-classification",
         "AutoModelForSequenceClassification"),
        ("BertForTokenClassification", {}, None, "token-classification",
         "AutoModelForTokenClassification"),
        ("BertForQuestionAnswering", {}, None, "question-answering",
         "AutoModelForQuestionAnswering"),
        ("BertForMaskedLM", {}, None, "fill-mask", "AutoModelForMaskedLM"),
        ("T5ForConditionalGeneration", ENCODER, None, "text2text-generation",
         "AutoModelForSeq2SeqLM"),
        ("MarianMTModel", ENCODER, None, "translation", "AutoModelForSeq2SeqLM"),
        ("WhisperForConditionalGeneration", ENCODER, None, "automatic-speech-recognition",
         "AutoModelForSpeechSeq2Seq"),
        ("Wav2Vec2ForCTC", {}, None, "automatic-speech-recognition", "AutoModelForCTC"),
        ("Qwen2VLForConditionalGeneration", VISION, "CAUSAL_LM", "image-text-to-text",
         "AutoModelForImageTextToText"),
        ("Qwen3Model", {}, None, "feature-extraction", "AutoModel"),
        ("Qwen3ForCausalLM", {}, "FEATURE_EXTRACTION", "feature-extraction", "AutoModel"),
        (None, {}, "CAUSAL_LM", "text-generation", "AutoModelForCausalLM"),
        ("SomethingForNobodyKnows", {}, None, None, None),
        (None, {}, None, None, None),
    ],
)  # fmt: skip
def test_task_of_an_architecture(
    architecture: str | None,
    more: dict[str, Any],
    task_type: str | None,
    tag: str | None,
    auto: str | None,
) -> None:
    config = {"architectures": [architecture] if architecture else None, **more}
    task = task_of(config, {}, task_type)
    assert (task.tag, task.auto_class) == (tag, auto)


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "T5ForConditionalGeneration",
    "WhisperForConditionalGeneration", "BertForMaskedLM", "Qwen2VLForConditionalGeneration",
    "LlamaForSequenceClassification", "BertModel"])  # fmt: skip
def test_the_class_loads_that_architecture(architecture: str) -> None:
    auto = pytest.importorskip("transformers.models.auto.modeling_auto")
    more = {**VISION} if "VL" in architecture else {}
    task = task_of({"architectures": [architecture], "is_encoder_decoder": True, **more}, {})
    mapping = getattr(auto, str(task.auto_class))._model_mapping._model_mapping
    assert architecture in {str(name) for name in mapping.values()}


@pytest.mark.parametrize(
    ("said", "tag", "auto"),
    [
        (None, "sentence-similarity", "SentenceTransformer"),
        ("SparseEncoder", "feature-extraction", "SparseEncoder"),
        ("CrossEncoder", "text-ranking", "CrossEncoder"),
    ],
)
def test_a_model_of_sentence_transformers_is_what_its_files_say(
    tmp_path: Path, said: str | None, tag: str, auto: str
) -> None:
    files = {
        name: tmp_path / name for name in ("modules.json", "config_sentence_transformers.json")
    }
    files["modules.json"].write_text("[]")
    files["config_sentence_transformers.json"].write_text(json.dumps({"model_type": said}))
    task = task_of({"architectures": ["Qwen3ForCausalLM"]}, files)
    assert (task.tag, task.auto_class) == (tag, auto)
    assert f"from sentence_transformers import {auto}" in loading(task, "me/x")


def test_the_base_says_more_of_an_adapter_than_its_own_file(tmp_path: Path) -> None:
    adapter, base = tmp_path / "adapter", tmp_path / "base"
    for folder in (adapter, base):
        folder.mkdir()
    (adapter / "adapter_config.json").write_text('{"task_type": "CAUSAL_LM"}')
    config = {"architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {}}
    (base / "config.json").write_text(json.dumps(config))
    assert adapter_task(adapter).tag == "text-generation"
    assert adapter_task(adapter, base).tag == "image-text-to-text"


def test_a_class_that_is_unknown_is_not_made_up() -> None:
    text = "\n".join(loading(Task(), "me/x"))
    assert "Auto" not in text
    assert "`architectures`" in text


@pytest.mark.parametrize(
    ("task", "state", "served"),
    [
        ("text-generation", "runs", True),
        ("text-generation", "with", True),
        ("text-generation", "not", False),
        ("text-generation", "unknown", False),
        ("text-classification", "runs", False),
        (None, "runs", False),
    ],
)
def test_vllm_is_named_for_adapters_that_it_loads(
    tmp_path: Path, task: str | None, state: Any, served: bool
) -> None:
    where = recorded([Verdict(engine="vLLM", state=state)], Task(tag=task))
    artifact = Artifact(kind="lora", path=tmp_path, metadata={"task": task, **where})
    release = ReleaseInfo(name="x", source="adapter", base_model="a/b", base_is_hub_id=True)
    assert bool(commands(UseContext(artifact=artifact, release=release))) is served
