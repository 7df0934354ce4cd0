"""Every id of a file's vocabulary is what the fine-tune's own tokenizer says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken

from gguf_checks import findings
from gguf_llamas import llama, sentencepiece_tokenizer
from gguf_tokenizers import (
    CONTROL,
    UNUSED,
    USER_DEFINED,
    as_transformers_5_saves,
    byte_level,
    keys_of,
    save_model,
    tokenised,
)

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**data, **changes}), "utf-8")


@pytest.mark.parametrize("keep_model", [True, False])
def test_added_tokens_of_a_sentencepiece_vocabulary_keep_text_and_type(
    keep_model: bool, tmp_path: Path
) -> None:
    """transformers 5 writes them to tokenizer.json alone, where the converter does not look."""
    folder = tmp_path / "Model"
    folder.mkdir()
    known = sentencepiece_tokenizer(folder)
    tokenizer = as_transformers_5_saves(folder, keep_model=keep_model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|closing|>"]})
    tokenizer.add_tokens(["<lookup>", "Quelltopf"])
    model = (folder / "tokenizer.model").read_bytes() if keep_model else None
    tokenizer.save_pretrained(folder)
    if model is not None:
        (folder / "tokenizer.model").write_bytes(model)
    save_model(folder, known + 16)
    keys = keys_of(folder, tmp_path / "out", tokenizer_check=True)
    assert keys[TOKENS][:known] == tokenizer.convert_ids_to_tokens(range(known))
    assert keys[TOKENS][known : known + 4] == [
        *("<|closing|>", "<lookup>", "Quelltopf"),
        f"[PAD{known + 3}]",
    ]
    assert keys[TYPES][known : known + 4] == [CONTROL, USER_DEFINED, USER_DEFINED, UNUSED]
    assert len(keys[TOKENS]) == len(keys["tokenizer.ggml.scores"]) == known + 16
    (ids,) = tokenised(tmp_path, "a <|closing|> b<lookup> Quelltopf")
    assert [i for i in ids if i >= known] == [known, known + 1, known + 2]


def test_a_special_token_that_only_an_older_file_lists_is_a_control_token(tmp_path: Path) -> None:
    """The converter makes all tokens of added_tokens.json user-defined."""
    folder = tmp_path / "Model"
    folder.mkdir()
    known = sentencepiece_tokenizer(folder)
    edit(folder / "added_tokens.json", **{"[END]": known, "word": known + 1})
    edit(folder / "special_tokens_map.json", additional_special_tokens=["[END]"])
    save_model(folder, known + 2)
    keys = keys_of(folder, tmp_path / "out")
    assert keys[TOKENS][known:] == ["[END]", "word"]
    assert keys[TYPES][known:] == [CONTROL, USER_DEFINED]


def test_letters_that_are_also_bytes_stay_in_a_special_token(tmp_path: Path) -> None:
    """The converter decodes special tokens, and Ü is a byte to a byte-level decoder."""
    folder = tmp_path / "Model"
    folder.mkdir()
    tokenizer = byte_level(folder, "<|Übung|>", AddedToken("Fuß▁note", special=False))
    rows = len(tokenizer)
    keys = keys_of(save_model(folder, rows), tmp_path / "out")
    assert keys[TOKENS][-2:] == ["<|Übung|>", "Fuß▁note"]
    assert keys[TYPES][-2:] == [CONTROL, USER_DEFINED]
    text = "vor<|Übung|>nach Fuß▁note"
    assert tokenised(tmp_path, text) == [tokenizer.encode(text)]


def test_ids_of_the_file_are_not_believed(tmp_path: Path) -> None:
    """tokenizers gives an added token the next free id, whatever tokenizer.json says."""
    folder = tmp_path / "Model"
    folder.mkdir()
    tokenizer = byte_level(folder, "<|stop|>", eos_token="<|stop|>")
    at, path = len(tokenizer) - 1, folder / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    data["added_tokens"][-1]["id"] = at + 7
    path.write_text(json.dumps(data), "utf-8")
    keys = keys_of(save_model(folder, at + 9, eos_token_id=0), tmp_path / "out")
    assert keys[TOKENS][at] == "<|stop|>"
    assert keys["tokenizer.ggml.eos_token_id"] == at


def test_the_end_is_the_tokenizers_and_not_the_one_of_config_json(tmp_path: Path) -> None:
    """The converter finds it only among the added tokens of tokenizer.json."""
    folder = tmp_path / "Model"
    folder.mkdir()
    rows = len(byte_level(folder, eos_token="<|endoftext|>"))
    edit(folder / "tokenizer.json", added_tokens=[])
    keys = keys_of(save_model(folder, rows, eos_token_id=7, bos_token_id=7), tmp_path / "out")
    assert keys["tokenizer.ggml.eos_token_id"] == 0


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (("[TURN]",), {"tokenizer.ggml.eom_token_id": "[TURN]"}),
        (("<|im_end|>",), {}),  # llama.cpp knows it by its text
    ],
)
def test_a_second_end_of_the_generation_configuration_ends_an_answer(
    added: tuple[str, ...], expected: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    tokenizer = byte_level(folder, *added)
    save_model(folder, len(tokenizer))
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(added[0]), 5]
    edit(folder / "generation_config.json", eos_token_id=ends)
    keys = keys_of(folder, tmp_path / "out")
    assert {
        key: tokenizer.convert_ids_to_tokens(keys[key])
        for key in ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
        if key in keys
    } == expected


def test_sixteen_more_tokens_do_not_make_a_code_llama(tmp_path: Path) -> None:
    """The converter takes every Llama with 32016 tokens for CodeLlama, and ends at 32010."""
    folder = tmp_path / "Model"
    folder.mkdir()
    known = sentencepiece_tokenizer(folder)
    edit(folder / "added_tokens.json", **{f"<t{i}>": i for i in range(known, 32016)})
    keys = keys_of(save_model(folder, 32016, hidden_size=8), tmp_path / "out")
    assert keys[TOKENS][32010] == "<t32010>"
    for part in ("eot", "prefix", "suffix", "middle"):
        assert f"tokenizer.ggml.{part}_token_id" not in keys


@pytest.mark.parametrize("adds", [True, False])
def test_a_beginning_token_is_added_where_the_tokenizer_adds_it(adds: bool, tmp_path: Path) -> None:
    """tokenizer.json says so; add_bos_token of tokenizer_config.json is not read beside it."""
    from tokenizers import Tokenizer, processors
    from transformers import AutoTokenizer

    folder = tmp_path / "Model"
    folder.mkdir()
    rows = len(byte_level(folder, "<|begin|>", bos_token="<|begin|>"))
    if adds:
        path = str(folder / "tokenizer.json")
        tokenizer = Tokenizer.from_file(path)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", rows - 1)]
        )
        tokenizer.save(path)
    edit(folder / "tokenizer_config.json", add_bos_token=not adds)
    keys = keys_of(save_model(folder, rows), tmp_path / "out")
    trained = AutoTokenizer.from_pretrained(folder).encode("a")
    assert (trained[0] == rows - 1) == adds
    assert keys.get("tokenizer.ggml.add_bos_token", False) == adds
    assert keys["tokenizer.ggml.bos_token_id"] == rows - 1


def test_tokens_without_rows_are_left_out_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    tokenizer = byte_level(folder, "<|a|>", AddedToken("<tool>", special=False))
    rows = len(tokenizer) - 1
    save_model(folder, rows, bos_token_id=0, eos_token_id=0)
    said = findings(folder)
    assert [finding.level for finding in said] == ["warning", "note"]
    assert f"has {rows + 1} tokens and model.embed_tokens.weight has {rows} rows" in said[0].what
    assert all("<tool>" in finding.what for finding in said)
    keys = keys_of(folder, tmp_path / "out")
    assert keys[TOKENS][-1] == "<|a|>"
    assert len(keys[TOKENS]) == rows


def test_a_sound_vocabulary_is_written_as_the_converter_writes_it(tmp_path: Path) -> None:
    """No key is changed where the two agree; the tests of bytes compare all of them."""
    from gguf_oracles import Job, convert, run_script, same

    folder = llama(tmp_path / "Model", hidden=32, dtype=torch.float32, tokenizer=_chat)
    ours = convert(folder, tmp_path / "out", ("F16",))["F16"]
    run_script([Job(folder=folder, target=tmp_path / "theirs.gguf", kind="F16")])
    assert same(ours, tmp_path / "theirs.gguf") > 5


def _chat(folder: Path) -> int:
    return len(
        byte_level(
            folder,
            *("<|im_start|>", "<|im_end|>"),
            AddedToken("<tool_call>", special=False, normalized=False),
            AddedToken("<|fim_prefix|>", special=False, normalized=False),
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
        )
    )
