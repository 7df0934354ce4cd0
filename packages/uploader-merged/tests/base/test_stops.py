"""Where generation stops: the fine-tune's end token, and the ids in the configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from json_files import edit_json
from merged_tools import LLAMA, Merge, save_llama, train
from uploader_core.plugin import Finding
from uploader_merged import open_checkpoint
from uploader_merged.preflight import check

CHATML = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
SPECIAL = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"]
OLD, NEW = 1, 4


def save_tokenizer(folder: Path, eos: str, words: list[str] | None = None, **more: Any) -> None:
    """Save a tokenizer of words; ``</s>`` is 1 and ``<|im_end|>`` is 4."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    listed = words or [*SPECIAL, *(f"word{n}" for n in range(LLAMA["vocab_size"] - len(SPECIAL)))]
    vocabulary = {word: n for n, word in enumerate(listed)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>")),
        bos_token="<s>",
        eos_token=eos,
        pad_token="<pad>",
        additional_special_tokens=[token for token in SPECIAL if token in vocabulary],
    )
    tokenizer.chat_template = more.get("chat_template")
    tokenizer.save_pretrained(folder)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = save_llama(tmp_path / "base", eos_token_id=OLD, bos_token_id=0, pad_token_id=2)
    save_tokenizer(folder, "</s>")
    ends = {"eos_token_id": OLD, "bos_token_id": 0, "pad_token_id": 2, "max_new_tokens": 9}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


@pytest.fixture
def tuned(base: Path, tmp_path: Path) -> Path:
    folder = train(base, tmp_path / "tuned", target_modules=["q_proj"])
    save_tokenizer(folder, "<|im_end|>", chat_template=CHATML)
    return folder


def said(folder: Path, file: str = "generation_config.json") -> Any:
    return json.loads((folder / file).read_text("utf-8"))["eos_token_id"]


def findings(merge: Merge, base: Path, adapter: Path | None, *words: str) -> list[Finding]:
    found = list(check(merge.plan(base, adapter)))
    return [f for f in found if any(word in f.what for word in words)]


def test_generate_stops_at_the_end_of_the_fine_tune(base: Path, tuned: Path, merge: Merge) -> None:
    from transformers import AutoModelForCausalLM, LogitsProcessor

    class Ends(LogitsProcessor):
        """Lets the model say its end token and nothing else."""

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return torch.full_like(scores, -1e9).index_fill(1, torch.tensor([NEW]), 0)

    made = merge(base, tuned)
    model = AutoModelForCausalLM.from_pretrained(made.path)
    answer = model.generate(torch.tensor([[50, 60]]), logits_processor=[Ends()], do_sample=False)
    assert answer.tolist() == [[50, 60, NEW]]
    assert said(made.path) == [NEW, OLD]
    assert (made.path / "config.json").read_bytes() == (base / "config.json").read_bytes()
    (finding,) = findings(merge, base, tuned, "im_end")
    assert finding.level == "note"
    assert "[4, 1]" in finding.what


def test_generation_config_of_the_fine_tune_is_looked_at(
    base: Path, tuned: Path, merge: Merge
) -> None:
    (tuned / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, OLD]}))
    assert said(merge(base, tuned).path) == [NEW, 7, OLD]


def test_ends_that_are_named_already_stay_as_they_are(
    base: Path, tuned: Path, merge: Merge
) -> None:
    edit_json(base / "generation_config.json", eos_token_id=[OLD, NEW])
    made = merge(base, tuned)
    before = (base / "generation_config.json").read_bytes()
    assert (made.path / "generation_config.json").read_bytes() == before
    assert not findings(merge, base, tuned, "im_end")


@pytest.mark.parametrize("nested", [False, True])
def test_without_generation_config_the_other_one_says_it(
    nested: bool, base: Path, tuned: Path
) -> None:
    """transformers makes its generation configuration from config.json then."""
    (base / "generation_config.json").unlink()
    config = json.loads((base / "config.json").read_text("utf-8"))
    if nested:
        config["text_config"] = {"eos_token_id": config.pop("eos_token_id")}
        (base / "config.json").write_text(json.dumps(config))
    written = open_checkpoint(base, tuned).config
    assert (written["text_config"] if nested else written)["eos_token_id"] == [NEW, OLD]
    assert open_checkpoint(base).config == config


def test_full_model_is_looked_at_too(base: Path, merge: Merge) -> None:
    save_tokenizer(base, "<|im_end|>", chat_template=CHATML)
    assert said(merge(base, None).path) == [NEW, OLD]


def test_number_of_an_end_in_another_vocabulary_is_translated(base: Path, tuned: Path) -> None:
    """Number 1 is a word of the new vocabulary, which nothing may stop at."""
    words = ["<s>", "word1", "<pad>", "</s>", "<|im_end|>"]
    save_tokenizer(tuned, "<|im_end|>", [*words, *(f"other{n}" for n in range(91))])
    stops = open_checkpoint(base, tuned).stops
    assert stops is not None
    assert stops.ids == (NEW, 3)


def test_model_that_generates_nothing_has_no_ends(base: Path, tuned: Path) -> None:
    (base / "generation_config.json").unlink()
    edit_json(base / "config.json", architectures=["LlamaForSequenceClassification"])
    assert open_checkpoint(base, tuned).stops is None


def test_end_of_the_template_alone(base: Path, tuned: Path, merge: Merge) -> None:
    """A template that the fine-tune brought was trained on; one of the base may never have been."""
    save_tokenizer(tuned, "</s>", chat_template=CHATML)
    (finding,) = findings(merge, base, tuned, "im_end")
    assert finding.level == "warning"
    assert "eos_token" in str(finding.next)
    save_tokenizer(base, "</s>", chat_template=CHATML)
    assert [f.level for f in findings(merge, base, tuned, "im_end")] == ["note"]


@pytest.mark.parametrize("template", ["{{ m }}{{ eos_token }}<|im_end|>", "{{ m }}</s><|im_end|>"])
def test_template_that_ends_as_generation_does(
    template: str, base: Path, tuned: Path, merge: Merge
) -> None:
    save_tokenizer(tuned, "</s>", chat_template=template)
    assert not findings(merge, base, tuned, "im_end")


def test_ids_that_the_vocabulary_does_not_have(base: Path, tuned: Path, merge: Merge) -> None:
    edit_json(base / "generation_config.json", pad_token_id=96, suppress_tokens=[3, 500], x=999)
    edit_json(base / "config.json", pad_token_id=-1)
    (finding,) = findings(merge, base, tuned, "96 rows")
    assert finding.level == "warning"
    assert "pad_token_id 96 of generation_config.json" in finding.what
    assert "suppress_tokens 500" in finding.what
    assert "config.json" in finding.what
    assert "x 999" not in finding.what
