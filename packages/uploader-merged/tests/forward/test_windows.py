"""Texts are cut as the model reads them, whatever file they come in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast

from uploader_core.plugin import RefusedError
from uploader_merged.forward.size import window_size
from uploader_merged.forward.windows import cut, open_tokenizer, texts_in, windows_of

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    words = [
        "<s>",
        "</s>",
        "<unk>",
        *["a", "b", "c", "d", "e", "f", "g", "h"],
        "<user>",
        "<assistant>",
    ]
    plain = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    return open_tokenizer(folder)


def windows(texts: Any, tokenizer: Any, size: int = 4, most: int = 9) -> list[list[int]]:
    found = cut(texts, tokenizer, size, most, owner="text", option="--text")
    return [window[0].tolist() for window in found]


def test_each_window_begins_as_the_models_texts_begin(tokenizer: Any) -> None:
    assert windows(["a b c d e f g h a"], tokenizer) == [[0, 4, 5, 6], [0, 8, 9, 10]]


def test_texts_follow_each_other_with_the_end_token_between(tokenizer: Any) -> None:
    assert windows(["a b", "c"], tokenizer) == [[0, 4, 1, 5]]


def test_no_more_windows_than_asked_for(tokenizer: Any) -> None:
    assert len(windows(["a b c d " * 5], tokenizer, most=2)) == 2


def test_a_text_shorter_than_a_window_is_refused(tokenizer: Any) -> None:
    with pytest.raises(RefusedError, match="the text has 3 tokens, and a window has 4") as refused:
        windows(["a b c"], tokenizer)
    assert "--text" in str(refused.value.next)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"text": "a b"}, "a b"),
        ({"messages": [{"role": "user", "content": "a"}]}, "<user> a "),
        ({"prompt": "a ", "completion": "b"}, "a b"),
        (
            {
                "prompt": [{"role": "user", "content": "a"}],
                "completion": [{"role": "assistant", "content": "b"}],
            },
            "<user> a <assistant> b ",
        ),
    ],
)
def test_lines_as_trainers_have_them(
    line: dict[str, Any], text: str, tokenizer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(line) + "\n\n", "utf-8")
    assert list(texts_in(path, tokenizer)) == [text]


def test_a_line_with_nothing_known_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a"}\n{"label": 1}\n', "utf-8")
    with pytest.raises(RefusedError, match=r"line 2 of train\.jsonl"):
        list(texts_in(path, tokenizer))


@pytest.mark.parametrize(
    "line", [{"conversations": [{"from": "human", "value": "a"}]}, {"messages": ["a"]}]
)
def test_messages_without_roles_are_refused(
    line: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(line), "utf-8")
    with pytest.raises(RefusedError, match="line 1") as refused:
        list(texts_in(path, tokenizer))
    assert "role" in str(refused.value.next)


def test_messages_that_the_template_does_not_take_are_refused(
    tokenizer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}]}', "utf-8")
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(RefusedError, match="line 1 of train.jsonl: roles must alternate"):
        list(texts_in(path, strict))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("train.jsonl", '\ufeff{"text": "a\u2028b"}\r\n\r\n{"text": "c"}\r\n'),
        ("train.json", '{"text": "a\u2028b"}\n{"text": "c"}'),
    ],
)
def test_lines_end_where_json_lines_end(
    name: str, data: str, tokenizer: Any, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data.encode())
    assert list(texts_in(tmp_path / name, tokenizer)) == ["a\u2028b", "c"]


def test_no_more_of_a_text_is_read_than_windows_need(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a b c d"}\n' * 3 + '{"broken": 1}\n', "utf-8")
    (tmp_path / "long.txt").write_text("a b c d " * 1000, "utf-8")
    for name in ("train.jsonl", "long.txt"):
        config = {"max_position_embeddings": 4}
        found = windows_of(tmp_path / name, tokenizer, config, 2, "--text")
        assert [window.shape for window in found] == [(1, 4)] * 2
    assert len(next(iter(texts_in(tmp_path / "long.txt", tokenizer, 99)))) == 99


def test_a_model_that_takes_few_tokens_gets_short_windows() -> None:
    assert window_size({"max_position_embeddings": 64}) == 64
    assert window_size({"text_config": {"max_position_embeddings": 128}}) == 128
    assert window_size({"max_position_embeddings": 32768}) == 512


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_a_model_without_positions_gets_whole_windows(kind: str) -> None:
    assert window_size(AutoConfig.for_model(kind).to_dict()) == 512
