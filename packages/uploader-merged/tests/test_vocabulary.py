"""The tokenizer beside merged weights: its size against the matrix, and one chat template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json
from merged_tools import LLAMA, Merge, save_llama, train
from uploader_core.plugin import Finding
from uploader_merged.preflight import check, estimate

ROWS = LLAMA["vocab_size"]


def save_tokenizer(folder: Path, *added: str, special: bool = False, **config: Any) -> Any:
    """Save a tokenizer with as many tokens as the test's models have rows, and more if wanted."""
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {chr(0x100 + i): i for i in range(ROWS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_tokens([AddedToken(text, special=special) for text in added])
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **config)
    saved.save_pretrained(folder)
    return saved


@pytest.fixture
def base(llama: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(llama, tmp_path / "base")
    save_tokenizer(folder)
    return folder


@pytest.fixture
def tuned(adapter: Path, tmp_path: Path) -> Path:
    return shutil.copytree(adapter, tmp_path / "adapter")


def findings(merge: Merge, base: Path, adapter: Path | None) -> list[Finding]:
    return [f for f in check(merge.plan(base, adapter)) if "taken from the base" not in f.what]


def test_a_tokenizer_that_fits_is_not_mentioned(base: Path, tuned: Path, merge: Merge) -> None:
    save_tokenizer(tuned)
    assert findings(merge, base, tuned) == []


def test_tokens_without_rows_are_named_before_any_work(
    base: Path, tuned: Path, merge: Merge
) -> None:
    save_tokenizer(tuned, "<tool>", "<lookup>")
    (finding,) = findings(merge, base, tuned)
    assert finding.level == "warning"
    assert (
        "the tokenizer has 98 tokens and model.embed_tokens.weight has 96 rows: <tool>, <lookup>"
        in finding.what
    )
    assert "resize_token_embeddings" in str(finding.next)


def test_an_end_token_without_a_row_is_refused(base: Path, tuned: Path, merge: Merge) -> None:
    save_tokenizer(tuned, "<end>", special=True, eos_token="<end>")
    (finding,) = findings(merge, base, tuned)
    assert finding.level == "error"
    assert "<end> is the tokenizer's eos_token" in finding.what


def test_tokens_that_the_base_has_no_rows_for_either_are_a_note(
    base: Path, tuned: Path, merge: Merge
) -> None:
    """The text models of Gemma 3 have a token for images and no row for it."""
    for folder in (base, tuned):
        save_tokenizer(folder, "<image_soft_token>", special=True)
    assert [f.level for f in findings(merge, base, tuned)] == ["note"]
    assert [f.level for f in findings(merge, base, None)] == ["note"]


def test_tokens_that_training_gave_rows_are_in_order(
    llama: Path, base: Path, tmp_path: Path, merge: Merge
) -> None:
    folder = train(
        llama,
        tmp_path / "resized",
        ROWS + 2,
        target_modules=["q_proj"],
        modules_to_save=["embed_tokens", "lm_head"],
    )
    save_tokenizer(folder, "<tool>", "<lookup>")
    assert findings(merge, base, folder) == []


@pytest.mark.parametrize("size", [ROWS + 8, ROWS - 8])
def test_a_vocabulary_size_that_is_not_the_number_of_rows_is_refused(
    size: int, tmp_path: Path, merge: Merge
) -> None:
    folder = save_llama(tmp_path / "base")
    edit_json(folder / "config.json", vocab_size=size)
    (finding,) = [f for f in findings(merge, folder, None) if f.level == "error"]
    assert f"vocab_size {size} and model.embed_tokens.weight has 96 rows" in finding.what
    assert '"vocab_size": 96' in str(finding.next)


def test_two_templates_become_the_one_that_transformers_takes(
    base: Path, tuned: Path, merge: Merge
) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(tuned)
    (tuned / "chat_template.jinja").write_text("FILE", "utf-8")
    edit_json(tuned / "tokenizer_config.json", chat_template="KEY")
    (tuned / "chat_template.json").write_text('{"chat_template": "OLD"}', "utf-8")
    (note,) = findings(merge, base, tuned)
    assert note.level == "note"
    assert "chat_template.jinja" in note.what
    assert "tokenizer_config.json" in note.what
    made = merge(base, tuned)
    assert AutoTokenizer.from_pretrained(made.path).chat_template == "FILE"
    for name in ("tokenizer_config.json", "chat_template.json"):
        assert json.loads(made.file(name).read_text("utf-8"))["chat_template"] == "FILE"
    sizes = {file.name: file.size for file in made.files}
    assert dict(estimate(merge.plan(base, tuned)).files) == sizes


def test_additional_templates_are_in_every_file(base: Path, tuned: Path, merge: Merge) -> None:
    save_tokenizer(tuned)
    (tuned / "additional_chat_templates").mkdir()
    (tuned / "additional_chat_templates" / "tool_use.jinja").write_text("TOOLS", "utf-8")
    (tuned / "chat_template.jinja").write_text("FILE", "utf-8")
    edit_json(tuned / "tokenizer_config.json", chat_template="KEY")
    made = merge(base, tuned)
    config = json.loads(made.file("tokenizer_config.json").read_text("utf-8"))
    assert config["chat_template"] == [
        {"name": "default", "template": "FILE"},
        {"name": "tool_use", "template": "TOOLS"},
    ]


def test_the_template_of_the_base_never_wins(base: Path, tuned: Path, merge: Merge) -> None:
    save_tokenizer(tuned)
    edit_json(tuned / "tokenizer_config.json", chat_template="OURS")
    (base / "chat_template.jinja").write_text("THEIRS", "utf-8")
    made = merge(base, tuned)
    assert "THEIRS" not in "".join(p.read_text("utf-8") for p in made.path.glob("*.j*"))


@pytest.mark.parametrize("config", [{"chat_template": "THEIRS"}, {}])
def test_the_processor_of_the_base_takes_the_template_of_the_fine_tune(
    config: dict[str, str], base: Path, tuned: Path, merge: Merge
) -> None:
    from transformers import ProcessorMixin

    save_tokenizer(tuned)
    edit_json(tuned / "tokenizer_config.json", chat_template="OURS")
    (base / "processor_config.json").write_text(json.dumps(config), "utf-8")
    (base / "chat_template.json").write_text('{"chat_template": "THEIRS"}', "utf-8")
    assert findings(merge, base, tuned) == []
    made = merge(base, tuned)
    assert ProcessorMixin.get_processor_dict(made.path)[0]["chat_template"] == "OURS"


def test_a_processor_that_takes_another_template_than_the_tokenizer_is_named(
    base: Path, merge: Merge
) -> None:
    (base / "processor_config.json").write_text("{}", "utf-8")
    (base / "chat_template.json").write_text('{"chat_template": "OLD"}', "utf-8")
    (base / "chat_template.jinja").write_text("NEW", "utf-8")
    (finding,) = findings(merge, base, None)
    assert finding.level == "warning"
    assert "AutoTokenizer takes the one of chat_template.jinja" in finding.what
    assert "AutoProcessor the one of chat_template.json" in finding.what
