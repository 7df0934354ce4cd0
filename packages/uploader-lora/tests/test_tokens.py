"""Tokens by id as the tokenizers library numbers them, and the chat template that counts."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json
from lora_tools import plan_context, save_adapter, step_context
from uploader_core.plugin import processor_templates, tokenizer_templates
from uploader_lora.companions import companion_files
from uploader_lora.save import check, estimate, save
from uploader_lora.tokens import read_token_ids


def save_tokenizer(folder: Path, *added: tuple[str, bool], **config: Any) -> Any:
    """Save a byte-level tokenizer with transformers; tokens are (text, whether special)."""
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {letter: i for i, letter in enumerate("abcdefgh")}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_tokens([AddedToken(text, special=special) for text, special in added])
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **config)
    saved.save_pretrained(folder)
    return saved


def test_ids_are_those_that_tokenizers_gives_and_not_those_in_the_file(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    save_tokenizer(tmp_path, ("<one>", True), ("<two>", False), eos_token="<one>")
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    data["added_tokens"][0]["id"], data["added_tokens"][1]["id"] = 70, 65
    path.write_text(json.dumps(data), "utf-8")
    tokens = read_token_ids(companion_files(tmp_path))
    assert tokens is not None
    assert tokens.ids == Tokenizer.from_file(str(path)).get_vocab()
    assert tokens.ids["<one>"] == 8
    assert tokens.special == {"<one>"}
    assert tokens.beyond(9) == ("<two>",)


def test_what_a_worker_of_a_batch_remembers_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("alone", "first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        save_tokenizer(folder, ("<one>", True), ("🙂", False), eos_token="<one>")
        found.append(read_token_ids(companion_files(folder)))
        monkeypatch.setenv("UPLOADER_BATCH_MEMORY", str(tmp_path))
    assert found[0] == found[1] == found[2]
    assert found[0] is not None
    assert len([*tmp_path.glob("*.json")]) == 1


def test_a_named_token_that_the_vocabulary_lacks_is_added_as_transformers_does(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(tmp_path)
    edit_json(tmp_path / "tokenizer_config.json", pad_token="[PAD]", eos_token="h")
    tokens = read_token_ids(companion_files(tmp_path))
    assert tokens is not None
    assert tokens.ids == AutoTokenizer.from_pretrained(tmp_path).get_vocab()
    assert tokens.beyond(8) == ("[PAD]",)


def test_pieces_of_a_sentencepiece_model_are_counted_without_the_library(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat, and the dog ran after it"] * 30),
        model_prefix=str(tmp_path / "tokenizer"),
        model_type="bpe",
        vocab_size=60,
        minloglevel=2,
    )
    (tmp_path / "added_tokens.json").write_text('{"<b>": 61, "<a>": 60}', "utf-8")
    tokens = read_token_ids(companion_files(tmp_path))
    library = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert tokens is not None
    assert [t for i, t in sorted((i, t) for t, i in tokens.ids.items())] == [
        *(library.id_to_piece(i) for i in range(60)),
        *("<a>", "<b>"),
    ]


TEMPLATES = {
    "jinja over tokenizer_config": {"chat_template.jinja": "J", "tokenizer_config.json": "K"},
    "tokenizer_config over the older json": {
        "chat_template.json": "L",
        "tokenizer_config.json": "K",
    },
    "jinja over the older json": {"chat_template.json": "L", "chat_template.jinja": "J"},
    "the older json alone is not read": {"chat_template.json": "L"},
    "several with a default": {
        "additional_chat_templates/tool.jinja": "T",
        "chat_template.jinja": "J",
        "tokenizer_config.json": "K",
    },
    "several without a default": {
        "additional_chat_templates/tool.jinja": "T",
        "tokenizer_config.json": "K",
    },
    "a list": {
        "tokenizer_config.json": [
            {"name": "default", "template": "D"},
            {"name": "tool", "template": "T"},
        ]
    },
    "a default among the additional ones": {
        "additional_chat_templates/default.jinja": "A",
        "chat_template.jinja": "J",
    },
}


def put(folder: Path, templates: dict[str, Any]) -> None:
    for name, template in templates.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".jinja"):
            path.write_text(template, "utf-8")
        else:
            data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
            path.write_text(json.dumps({**data, "chat_template": template}), "utf-8")


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_is_the_one_that_transformers_takes(name: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(tmp_path)
    put(tmp_path, TEMPLATES[name])
    ours = tokenizer_templates(companion_files(tmp_path))
    theirs = AutoTokenizer.from_pretrained(tmp_path).chat_template
    if isinstance(theirs, dict):
        assert ours.default == theirs.pop("default", None)
        assert ours.named == theirs
    else:
        assert (ours.default, ours.named) == (theirs, {})


@pytest.mark.parametrize(
    ("templates", "taken"),
    [
        pytest.param(
            {"processor_config.json": "P", "chat_template.json": "L"},
            "P",
            marks=pytest.mark.skipif(
                version("transformers") < "5", reason="transformers 4 takes L"
            ),
        ),
        ({"chat_template.json": "L", "chat_template.jinja": "J"}, "L"),
        ({"chat_template.jinja": "J", "tokenizer_config.json": "K"}, "J"),
        ({"tokenizer_config.json": "K"}, None),
    ],
)
def test_a_processor_takes_another_order(
    templates: dict[str, Any], taken: str | None, tmp_path: Path
) -> None:
    from transformers import ProcessorMixin

    save_tokenizer(tmp_path)
    (tmp_path / "processor_config.json").write_text("{}", "utf-8")
    put(tmp_path, templates)
    theirs, _ = ProcessorMixin.get_processor_dict(tmp_path)
    assert processor_templates(companion_files(tmp_path)).default == taken
    assert theirs.get("chat_template") == taken


def test_a_released_adapter_says_one_template_in_all_files(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "final_model", target_modules=["q_proj"])
    save_tokenizer(folder)
    put(folder, {"chat_template.jinja": "J", "tokenizer_config.json": "K"})
    (note,) = check(plan_context(folder))
    assert note.level == "note"
    assert "chat_template.jinja and tokenizer_config.json hold different" in note.what
    made = save(step_context(folder, tmp_path / "out"))
    config = json.loads(made.file("tokenizer_config.json").read_text("utf-8"))
    assert config["chat_template"] == "J"
    assert made.file("chat_template.jinja").read_text("utf-8") == "J"
    sizes = {file.name: file.size for file in made.files}
    assert dict(estimate(plan_context(folder)).files) == sizes


def test_one_template_is_copied_byte_for_byte(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "final_model", target_modules=["q_proj"])
    save_tokenizer(folder)
    put(folder, {"chat_template.jinja": "J", "tokenizer_config.json": "J"})
    assert list(check(plan_context(folder))) == []
    made = save(step_context(folder, tmp_path / "out"))
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        assert made.file(name).read_bytes() == (folder / name).read_bytes()
