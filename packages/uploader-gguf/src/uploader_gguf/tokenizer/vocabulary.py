"""Name the pre-tokenizer of a tokenizer that llama.cpp does not recognise.

llama.cpp knows a tokenizer by a hash of what it makes of a test text, so one added token or one
retrained vocabulary makes it a stranger, although the pre-tokenizer is a known one. What decides is
the structure: the normaliser, the pre-tokenizer and ``ignore_merges`` of ``tokenizer.json``. When
they equal those of a known family, llama.cpp's code for that family splits text the same way. The
step compares the result with the tokenizer itself afterwards.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import Json, RefusedError, digests_of
from uploader_lora import read_tokenizer

Known = Callable[[Path], "str | None"]
"""Asks llama.cpp for the name of the tokenizer in a folder; None when it does not know."""

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def _split(regex: str) -> list[dict[str, Any]]:
    return [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    ]


def _cased(digits: str, suffix: str) -> str:
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{suffix}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{suffix}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}"
    )


_GPT2 = [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]
_DIGITS = [{"type": "Digits", "individual_digits": True}, *_GPT2]
_LLAMA3 = _split(rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}")
_QWEN2 = _split(rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}")
_QWEN35 = _split(
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_TAIL}"
)
_NFC = [{"type": "NFC"}]
_BERT = [
    {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
]

# (normaliser, pre-tokenizer, ignore_merges) and llama.cpp's name. The regular expressions are the
# ones that ``llm_tokenizer_bpe`` in src/llama-vocab.cpp (b10605) quotes as "original regex from
# tokenizer.json"; the names that share a case there behave alike, and the plainest one is taken.
FAMILIES: tuple[tuple[list[Any], list[dict[str, Any]], bool, str], ...] = (
    ([], _GPT2, False, "gpt-2"),
    (_NFC, _GPT2, False, "olmo"),
    ([], _DIGITS, False, "smollm"),
    (_NFC, _DIGITS, False, "command-r"),
    ([], _LLAMA3, True, "llama-bpe"),
    ([], _LLAMA3, False, "smaug-bpe"),
    ([], _QWEN2, False, "qwen2"),
    (_NFC, _QWEN2, False, "qwen2"),
    (_NFC, _QWEN35, False, "qwen35"),
    ([], _split(_cased(r"\p{N}", "")), True, "tekken"),
    ([], _split(_cased(r"\p{N}{1,3}", f"{_CONTRACTIONS}?")), False, "gpt-4o"),
    (
        [],
        [
            {"type": "Punctuation", "behavior": "Contiguous"},
            *_GPT2,
            {"type": "Digits", "individual_digits": False},
            _split("[0-9][0-9][0-9]")[0],
        ],
        False,
        "falcon",
    ),
    # WordPiece ignores the name; the round trip tells whether lower-casing and accents agree.
    (_BERT, [{"type": "BertPreTokenizer"}], False, "bert-bge"),
)


def structure(tokenizer: Mapping[str, Any]) -> tuple[list[Any], list[Any], bool]:
    """Return what decides how a text is split, in one comparable form.

    Args:
        tokenizer: Content of ``tokenizer.json``.
    """
    model = tokenizer.get("model") or {}
    return (
        _flat(tokenizer.get("normalizer"), "normalizers"),
        _flat(tokenizer.get("pre_tokenizer"), "pretokenizers"),
        bool(model.get("ignore_merges", False)),
    )


def _flat(part: Any, children: str) -> list[Any]:
    """Flatten sequences, and drop what does not change where a text is split."""
    if part is None:
        return []
    if part.get("type") == "Sequence":
        return [leaf for child in part[children] for leaf in _flat(child, children)]
    leaf = {key: value for key, value in part.items() if key != "trim_offsets"}
    if leaf.get("type") == "ByteLevel":
        leaf.setdefault("use_regex", True)
    return [leaf]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Names a pre-tokenizer which llama.cpp does not know.

    Attributes:
        chosen: ``--gguf-pre-tokenizer``; it wins.
        base: Folder of the base model, whose tokenizer may be known.
    """

    chosen: str | None
    base: Path | None = None

    @property
    def key(self) -> list[Json]:
        """What the name depends on, besides the tokenizer."""
        file = None if self.base is None else self.base / "tokenizer.json"
        known = {"tokenizer.json": file} if file is not None and file.is_file() else {}
        return [self.chosen, digests_of(known)]

    def __call__(self, folder: Path, known: Known) -> str:
        """Return the name of the one in a folder.

        Raises:
            RefusedError: It is none of the families that llama.cpp knows.
        """
        if self.chosen is not None:
            return self.chosen
        base = self.base
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise _unknown("the tokenizer has no tokenizer.json to compare", [])
        ours = structure(read_tokenizer(path))
        for normalizer, pre_tokenizer, ignore_merges, name in FAMILIES:
            if ours == (normalizer, pre_tokenizer, ignore_merges):
                return name
        if base is not None and (base / "tokenizer.json").is_file():
            theirs = structure(read_tokenizer(base / "tokenizer.json"))
            name_of_base = known(base) if theirs == ours else None
            if name_of_base is not None:
                return name_of_base
        raise _unknown(
            "its normaliser and pre-tokenizer equal no family that llama.cpp knows", near(ours)
        )


def near(ours: tuple[list[Any], list[Any], bool]) -> list[str]:
    """Return the names of the most similar families, best first."""
    text = json.dumps(ours, sort_keys=True)

    def likeness(family: tuple[Any, ...]) -> float:
        theirs = json.dumps(family[:3], sort_keys=True)
        return difflib.SequenceMatcher(None, text, theirs, autojunk=False).ratio()

    ranked = sorted(FAMILIES, key=likeness, reverse=True)
    return list(dict.fromkeys(family[3] for family in ranked))[:3]


def _unknown(why: str, names: list[str]) -> RefusedError:
    return RefusedError(
        f"llama.cpp does not know this tokenizer's pre-tokenizer, and {why}",
        owner="tokenizer.json",
        safe="nothing was written",
        next="name it with --gguf-pre-tokenizer NAME"
        + (f"; the nearest are {', '.join(names)}" if names else ""),
    )
