"""Hostile tokenizers: JSON and protobuf."""

from __future__ import annotations

from pathlib import Path

from hostile_json import DEEP, no_json, put, write
from hostile_place import Damage, Hostile, Place, cases, edit


def tokenizer(place: Place) -> Path:
    return place.adapter / "tokenizer.json"


def tokenizer_config(place: Place) -> Path:
    return place.adapter / "tokenizer_config.json"


def is_sentencepiece(content: bytes) -> Damage:
    """A model of SentencePiece in place of the tokenizer."""

    def damage(place: Place) -> None:
        tokenizer(place).unlink()
        (place.adapter / "tokenizer.model").write_bytes(content)
        edit(tokenizer_config(place), tokenizer_class="LlamaTokenizer")

    return damage


def _piece(length: bytes, content: bytes = b"") -> bytes:
    return b"\x0a" + length + content


TOKENIZERS: dict[str, Damage] = {
    **{
        what: damage
        for what, damage in no_json(tokenizer).items()
        if what not in ("a number of 5,000 digits alone",)
    },
    "settings nested 100,000 deep": write(tokenizer_config, DEEP),
    "settings that are a list": write(tokenizer_config, "[]"),
    "a class of a stranger": lambda place: (
        (place.adapter / "tokenization_own.py").write_text(place.code),
        edit(
            tokenizer_config(place),
            auto_map={"AutoTokenizer": ["tokenization_own.Own", None]},
            tokenizer_class="Own",
        ),
    ),
    "a class to be imported": put(tokenizer_config, tokenizer_class="os.system"),
    "a class that is a number": put(tokenizer_config, tokenizer_class=7),
    "added tokens that are a list": put(tokenizer_config, added_tokens_decoder=[1, 2]),
    "an added token of 2^62": put(
        tokenizer_config, added_tokens_decoder={str(1 << 62): {"content": "x"}}
    ),
    "tokens that are numbers": put(tokenizer_config, bos_token=7, eos_token=[1]),
    "a table of merges of a stranger": lambda place: edit(
        tokenizer(place), model={"type": "Own", "vocab": [1], "merges": {"a": 1}}
    ),
    "a model that is a list": lambda place: edit(tokenizer(place), model=[1]),
    "a vocabulary of lists": lambda place: edit(
        tokenizer(place), model={"type": "Unigram", "vocab": [[["a"], 0.0]]}
    ),
    "a vocabulary of texts": lambda place: edit(
        tokenizer(place), model={"type": "BPE", "vocab": {"a": "b"}, "merges": []}
    ),
    "merges that are numbers": lambda place: edit(
        tokenizer(place), model={"type": "BPE", "vocab": {"a": 0}, "merges": [[1, 2]]}
    ),
    "added tokens that are numbers": lambda place: edit(tokenizer(place), added_tokens=[1]),
    "a normaliser that is a list": lambda place: edit(tokenizer(place), normalizer=[[]]),
    "added tokens with numbers that are none": put(
        tokenizer_config, added_tokens_decoder={"x": {"content": "y"}}
    ),
    "a vocabulary with numbers beyond it": lambda place: edit(
        tokenizer(place), model={"type": "BPE", "vocab": {"a": 1 << 40}, "merges": []}
    ),
    "an expression that takes for ever": lambda place: edit(
        tokenizer(place),
        pre_tokenizer={
            "type": "Split",
            "pattern": {"Regex": "(a+)+$|" * 50 + "(.*a){25}"},
            "behavior": "Isolated",
            "invert": False,
        },
    ),
    "a protobuf with a piece beyond it": is_sentencepiece(_piece(b"\xff\xff\xff\xff\x0f")),
    "a protobuf with a number that never ends": is_sentencepiece(b"\x0a" + b"\xff" * 4096),
    "a protobuf of groups": is_sentencepiece(b"\x0b" * 100_000),
    "a protobuf of a field that is none": is_sentencepiece(b"\x07\x00"),
    "a protobuf of a million empty pieces": is_sentencepiece(_piece(b"\x00") * 1_000_000),
    "a protobuf that is a pickle": is_sentencepiece(b"\x80\x04\x95" + bytes(64)),
    "a protobuf that is empty": is_sentencepiece(b""),
}

HOSTILE_TOKENIZERS: list[Hostile] = cases(
    "tokenizer",
    TOKENIZERS,
    harmless={
        what
        for what in TOKENIZERS
        if what.startswith(
            (
                "a protobuf",
                "a class to",
                "a class that",
                "a vocabulary with",
                "an expression",
                "added tokens that are a list",
                "an added token",
                "tokens that",
            )
        )
    },
)
