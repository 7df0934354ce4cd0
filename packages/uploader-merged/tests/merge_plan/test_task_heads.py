"""Adapters of classifiers: on a base that has the head, and on a language model that has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from json_files import edit_json
from merged_tools import Merge, save_llama
from saved_models import load_all
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint
from uploader_merged.merge_plan.task_heads import ENCODERS, GENERIC

CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
}


def load(task: str, folder: Path, **options: Any) -> Any:
    import transformers

    return getattr(transformers, CLASSES[task]).from_pretrained(folder, **options)


def train_head(task: str, base: Path, folder: Path, labels: int = 3, **flags: Any) -> torch.Tensor:
    """Save an adapter with its head, and return what base and adapter answer."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    model = load(task, base, num_labels=labels, dtype=torch.float32)
    targets = {"target_modules": ["q_proj", "v_proj"], **flags}
    tuned = get_peft_model(model, LoraConfig(task_type=task, **targets))
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    tuned.save_pretrained(folder)
    return answer(tuned)


def answer(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(5, 30)[None])[0]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("task", ["SEQ_CLS", "TOKEN_CLS"])
def test_head_that_a_language_model_lacks(
    task: str, tied: bool, tmp_path: Path, merge: Merge
) -> None:
    base = save_llama(tmp_path / "base", tie_word_embeddings=tied, pad_token_id=0)
    flags = {"target_modules": ["q_proj", "embed_tokens"]} if tied else {}
    expected = train_head(task, base, tmp_path / "a", **flags)
    made = merge(base, tmp_path / "a", dtype="float32")
    model, info = load(task, made.path, output_loading_info=True)
    assert not any(info[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(answer(model), expected, atol=2e-5, rtol=2e-5)
    assert type(model).__name__ == CLASSES[task].replace("AutoModel", "Llama")
    assert "lm_head.weight" not in load_all(made.path)
    assert not (made.path / "generation_config.json").exists()


def save_encoder(family: str, folder: Path, kind: str = "Model") -> Path:
    import transformers

    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "max_position_embeddings": 64}
    if family == "DistilBert":
        sizes = {"vocab_size": 64, "dim": 32, "hidden_dim": 48, "n_layers": 2}
        heads = {"n_heads": 4, "max_position_embeddings": 64}
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(**sizes, **heads)
    getattr(transformers, family + kind)(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("task", ["SEQ_CLS", "TOKEN_CLS"])
def test_head_that_an_encoder_lacks(task: str, family: str, tmp_path: Path, merge: Merge) -> None:
    base = save_encoder(family, tmp_path / "base")
    targets = ["q_lin", "v_lin"] if family == "DistilBert" else ["query", "value"]
    expected = train_head(task, base, tmp_path / "a", target_modules=targets)
    made = merge(base, tmp_path / "a")
    model, info = load(task, made.path, output_loading_info=True)
    assert not any(info[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(answer(model), expected, atol=2e-5, rtol=2e-5)


def test_pooler_that_was_drawn_at_random_is_refused(tmp_path: Path) -> None:
    """PEFT keeps the new classifier of a BERT and not the new pooler in front of it."""
    base = save_encoder("Bert", tmp_path / "base", "ForMaskedLM")
    train_head("SEQ_CLS", base, tmp_path / "a", target_modules=["query"])
    with pytest.raises(SourceError, match="classifier.*BertForMaskedLM"):
        open_checkpoint(base, tmp_path / "a")


def test_head_that_the_base_has(tmp_path: Path, merge: Merge) -> None:
    base = tmp_path / "judge"
    load("SEQ_CLS", save_llama(tmp_path / "base"), num_labels=1).save_pretrained(base)
    expected = train_head("SEQ_CLS", base, tmp_path / "a", labels=1)
    made = merge(base, tmp_path / "a", dtype="float32")
    torch.testing.assert_close(answer(load("SEQ_CLS", made.path)), expected, atol=2e-5, rtol=2e-5)
    config = json.loads((made.path / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["LlamaForSequenceClassification"]


def test_names_of_the_labels_beside_the_adapter(llama: Path, tmp_path: Path) -> None:
    train_head("SEQ_CLS", llama, tmp_path / "a")
    assert open_checkpoint(llama, tmp_path / "a").config["id2label"]["2"] == "LABEL_2"
    names = {"0": "no", "1": "maybe", "2": "yes"}
    (tmp_path / "a" / "config.json").write_text("{}")
    edit_json(tmp_path / "a" / "config.json", id2label=names, problem_type="regression")
    config = open_checkpoint(llama, tmp_path / "a").config
    assert config["id2label"] == names
    assert config["problem_type"] == "regression"


def test_head_of_a_class_that_is_not_known_is_refused(llama: Path, tmp_path: Path) -> None:
    train_head("QUESTION_ANS", llama, tmp_path / "a", labels=2)
    with pytest.raises(SourceError, match=r"QUESTION_ANS.*qa_outputs.*LlamaForCausalLM") as caught:
        open_checkpoint(llama, tmp_path / "a")
    assert "AutoModelForSequenceClassification" in str(caught.value.next)


def test_head_that_nobody_has_is_refused(llama: Path, adapter: Path, tmp_path: Path) -> None:
    """As where the classifier was not among the modules to save, and stayed as it was drawn."""
    copy = tmp_path / "a"
    copy.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (copy / name).write_bytes((adapter / name).read_bytes())
    names = ["classifier", "score"]
    edit_json(copy / "adapter_config.json", task_type="SEQ_CLS", modules_to_save=names)
    with pytest.raises(SourceError, match="neither the adapter nor the base"):
        open_checkpoint(llama, copy)


@pytest.mark.parametrize("family", GENERIC)
def test_families_have_the_generic_classes(family: str) -> None:
    import transformers
    from transformers import modeling_layers as layers

    for task in ("SequenceClassification", "TokenClassification"):
        cls = getattr(transformers, f"{family}For{task}")
        assert issubclass(cls, getattr(layers, f"GenericFor{task}"))
        assert cls.base_model_prefix == "model"
        assert "forward" not in vars(cls)
