"""Pre-tokenizers that llama.cpp does not recognise by their hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from gguf_llamas import byte_level_tokenizer
from uploader_core.plugin import RefusedError
from uploader_gguf.tokenizer.vocabulary import Resolver, structure

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def nobody_knows(folder: Path) -> None:
    return None


def save(folder: Path, pre_tokenizer: object, normalizer: object = None) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_byte_level_tokenizer_is_gpt2(tmp_path: Path) -> None:
    byte_level_tokenizer(tmp_path)
    assert Resolver(None)(tmp_path, nobody_knows) == "gpt-2"


def test_qwen2_is_recognised_by_its_regular_expression(tmp_path: Path) -> None:
    sequence = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    save(tmp_path, sequence, normalizers.NFC())
    assert Resolver(None)(tmp_path, nobody_knows) == "qwen2"


def test_added_tokens_do_not_matter(tmp_path: Path) -> None:
    byte_level_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    before = structure(json.loads(tokenizer.to_str()))
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    assert structure(json.loads(tokenizer.to_str())) == before


def test_the_base_models_name_is_taken_when_the_structure_is_equal(tmp_path: Path) -> None:
    ours, base = tmp_path / "ours", tmp_path / "base"
    for folder in (ours, base):
        folder.mkdir()
        save(folder, pre_tokenizers.Whitespace())
    assert Resolver(None, base)(ours, lambda folder: "odd" if folder == base else None) == "odd"


def test_an_unknown_structure_is_refused_with_near_names(tmp_path: Path) -> None:
    save(tmp_path, pre_tokenizers.Digits(individual_digits=True))
    with pytest.raises(RefusedError) as error:
        Resolver(None)(tmp_path, nobody_knows)
    assert "--gguf-pre-tokenizer" in str(error.value.next)
    assert "smollm" in str(error.value.next)


def test_the_users_name_wins(tmp_path: Path) -> None:
    assert Resolver("tekken")(tmp_path, nobody_knows) == "tekken"
