"""Compare what llama.cpp's converter says of a vocabulary with the tokenizer, id by id.

The converter reads several files, in an order of its own for each architecture, and not all of what
they say: with ``tokenizer.model`` beside a ``tokenizer.json`` it learns of added tokens only from
files that transformers 5 no longer writes, and makes ``[PAD..]`` of them
(https://github.com/ggml-org/llama.cpp/issues/15842). Where it is right nothing is changed, so a
file equals its own byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from uploader_core.plugin import RefusedError
from uploader_gguf.tokenizer.merge_order import scores_for
from uploader_gguf.tokenizer.own_tokenizer import AddedToken, OwnTokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""``enum llama_token_type`` of llama.h."""

PREFIX = "tokenizer.ggml."
MERGED_BY_SCORE = "llama"
"""``tokenizer.ggml.model`` of a vocabulary whose pieces are joined by their scores."""

# The kinds of vocabulary whose texts are compared. Others write them in ways of their own.
_COMPARED = (MERGED_BY_SCORE, "gpt2", "gemma4", "bert", "t5")
# Those in which nothing but the keys for it says what is put around a text.
_WITHOUT_RULES = (MERGED_BY_SCORE, "gpt2", "gemma4")

# The key of each named token; gguf spells them so.
_KEYS = {
    **{part: f"{PREFIX}{part}_token_id" for part in ("bos", "eos", "mask")},
    "unk": f"{PREFIX}unknown_token_id",
    "sep": f"{PREFIX}seperator_token_id",
    "pad": f"{PREFIX}padding_token_id",
}
# What llama.cpp takes where a file does not say (``llama_vocab::impl::load``).
_DEFAULTS = {
    **{("llama", part): i for part, i in (("unk", 0), ("bos", 1), ("eos", 2))},
    **{("gpt2", part): 11 for part in ("bos", "eos")},
}
_ADDS = {"bos": f"{PREFIX}add_bos_token", "eos": f"{PREFIX}add_eos_token"}
_SPACE = f"{PREFIX}add_space_prefix"
_EOT, _EOM = f"{PREFIX}eot_token_id", f"{PREFIX}eom_token_id"

# Pre-tokenizers for which llama.cpp puts BOS before a text unless the file says no
# (``add_bos = true`` in ``llama_vocab::impl::load``).
_ADDS_BOS = frozenset(
    (
        *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0"),
        *("lfm2", "tekken", "chameleon"),
    )
)

# Ids that the converter writes for CodeLlama (by ``vocab_size`` alone) and for Gemma, whatever the
# tokenizer has there (``conversion/llama.py``, ``conversion/gemma.py``).
_ASSUMED = {
    f"{PREFIX}{part}_token_id": ids
    for part, ids in {
        "prefix": (67, 32007),
        "suffix": (69, 32008),
        "middle": (68, 32009),
        "fsep": (70,),
        "eot": (107, 32010),
    }.items()
}
_ASSUMED_TEXT = re.compile(
    r"▁?<(PRE|SUF|MID|EOT)>|<\|fim_(prefix|suffix|middle)\|>|<\|file_separator\|>|<end_of_turn>"
    r"|<unused\d+>"
)

# Ends of a turn, and of generation, that llama.cpp finds by their texts where no key names them
# (``special_eot_id``, ``special_eog_ids``).
_KNOWN_EOT = frozenset(
    (
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<EOT>"),
        *("<|end_of_text|>", "_<EOT>", "[EOT]", "<end_of_utterance>"),
        "<\uff5cend▁of▁sentence\uff5c>",
    )
)
_KNOWN_ENDS = _KNOWN_EOT | frozenset(
    (
        *("<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "<|eom_id|>", "[EOS]"),
        *("<eos>", "<turn|>", "<|tool_response>", "[e~["),
    )
)


@dataclass(kw_only=True, slots=True)
class Corrections:
    """Where the tokenizer says something else than the converter.

    Attributes:
        values: New values by key; None takes a key away.
        said: One sentence for each kind of difference.
    """

    values: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def correct(
    keys: Mapping[str, Any], own: OwnTokenizer, rows: int, ends: Collection[int] = ()
) -> Corrections:
    """Return what has to be written instead.

    Args:
        keys: What the converter would write.
        own: The fine-tune's tokenizer.
        rows: Of the embedding in the file; llama.cpp loads no other number of tokens.
        ends: Ids that ``generation_config.json`` ends an answer at.

    Raises:
        RefusedError: Two tokens would have the same text, which llama.cpp does not load.
    """
    found = Corrections()
    if keys.get(f"{PREFIX}model") not in _COMPARED:
        return found
    _tokens(keys, own, rows, found)
    _named(keys, own, rows, found)
    _ends(keys, own, rows, ends, found)
    _around(keys, own, found)
    return found


def looks_special(text: str) -> bool:
    """Return whether llama.cpp's converter takes a token for a control token by its text.

    Some models do not flag theirs (``TextModel.does_token_look_special``).
    """
    return (
        text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<\uff5c") and text.endswith("\uff5c>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def _tokens(keys: Mapping[str, Any], own: OwnTokenizer, rows: int, found: Corrections) -> None:
    before = [_text(token) for token in keys[f"{PREFIX}tokens"]]
    kinds_before = [int(kind) for kind in keys[f"{PREFIX}token_type"]]
    texts = [*before, *(f"[PAD{i}]" for i in range(len(before), rows))][:rows]
    kinds = [*kinds_before, *[UNUSED] * (rows - len(before))][:rows]
    ordinary = [*own.tokens, *[None] * rows][:rows]
    for i in own.added:
        if i < rows:
            ordinary[i] = None
    for i in range(rows):
        if texts[i] == ordinary[i] and kinds[i] == NORMAL:
            continue
        texts[i], kinds[i] = _expected(i, texts[i], kinds[i], own, keys)
    if len(set(texts)) < rows:
        _refuse_twins(texts)
    if texts != before:
        changed = [i for i, (a, b) in enumerate(zip(texts, before, strict=False)) if a != b]
        shown = ", ".join(repr(texts[i]) for i in changed[:3]) or f"{rows} rows"
        found.values[f"{PREFIX}tokens"] = texts
        found.said.append(f"texts of {max(len(changed), abs(rows - len(before)))} tokens ({shown})")
    if kinds != kinds_before:
        found.values[f"{PREFIX}token_type"] = kinds
        found.said.append("types of tokens")
    _scores(keys, own, texts, kinds, found)


def _expected(
    i: int, text: str, kind: int, own: OwnTokenizer, keys: Mapping[str, Any]
) -> tuple[str, int]:
    """Return text and type of an id, the converter's own where they do."""
    model = keys[f"{PREFIX}model"]
    token, theirs = own.added.get(i), own.token(i)
    if theirs is None:
        return (text, kind) if kind == UNUSED else (f"[PAD{i}]", UNUSED)
    if token is not None:
        return _added(i, text, kind, token, keys)
    if model == "t5":
        return text, kind  # its scores belong to the piece
    if model == "bert":
        theirs = theirs.removeprefix("##") if theirs.startswith("##") else f"▁{theirs}"
    if text != theirs:
        byte = model != "gpt2" and re.fullmatch(r"<0x[0-9A-F]{2}>", theirs)
        return theirs, BYTE if byte else NORMAL
    return text, NORMAL if kind == USER_DEFINED else kind


def _added(
    i: int, text: str, kind: int, token: AddedToken, keys: Mapping[str, Any]
) -> tuple[str, int]:
    """Return text and type of a token that is searched for before the vocabulary is.

    llama.cpp searches for it in the text as it is, with spaces and not with sentencepiece's mark.
    """
    model = keys[f"{PREFIX}model"]
    spaced = token.text if model == "gpt2" else token.text.replace("▁", " ")
    if text not in (token.text, spaced):
        text = token.text if token.special else spaced
    # The first is what it ought to be, the others are good reasons of the converter's.
    kinds = [USER_DEFINED]
    if token.special:
        kinds = [CONTROL, UNKNOWN, *([USER_DEFINED] if model == "gemma4" else [])]
    elif looks_special(token.text):
        kinds = [CONTROL, USER_DEFINED]
    elif i in (keys.get(key) for key in (_KEYS["eos"], _EOT, _EOM)):
        kinds = [USER_DEFINED, CONTROL]
    return text, kind if kind in kinds else kinds[0]


def _scores(
    keys: Mapping[str, Any],
    own: OwnTokenizer,
    texts: list[str],
    kinds: list[int],
    found: Corrections,
) -> None:
    """Put the order of the tokenizer's own merges in place of other scores."""
    scores = keys.get(f"{PREFIX}scores")
    if scores is None:
        return
    padded = [*scores, *[-1000.0] * (len(texts) - len(scores))][: len(texts)]
    if keys[f"{PREFIX}model"] == MERGED_BY_SCORE and own.merges is not None:
        ids = {text: i for i, text in enumerate(texts) if kinds[i] == NORMAL}
        before = {i for i, kind in enumerate(kinds) if kind in (CONTROL, USER_DEFINED)}
        ordered = scores_for(own.merges, ids, padded, before)
        if ordered is not None:
            padded = ordered
            found.said.append("scores, by the order of the tokenizer's own merges")
    if padded != list(scores):
        found.values[f"{PREFIX}scores"] = padded


def _named(keys: Mapping[str, Any], own: OwnTokenizer, rows: int, found: Corrections) -> None:
    for key, assumed in _ASSUMED.items():
        i = keys.get(key)
        if i in assumed and not _ASSUMED_TEXT.fullmatch(own.token(int(i)) or ""):
            found.values[key] = None
            found.said.append(f"{key} is {own.token(int(i))!r}, which is no such token")
    model = str(keys[f"{PREFIX}model"])
    before, behind = (own.around or ([], [])) if model in _WITHOUT_RULES else ([], [])
    puts = {"bos": before[0] if len(before) == 1 else None}
    puts["eos"] = behind[0] if len(behind) == 1 else None
    for part, key in _KEYS.items():
        wanted = own.named.get(part)
        put = puts.get(part)
        # What is put around a text is what llama.cpp calls BOS and EOS; an end of another name is
        # among the ends all the same.
        if put is not None:
            wanted = put
        now = keys.get(key, _DEFAULTS.get((model, part)))
        if now is None and (part not in puts or model not in _WITHOUT_RULES):
            continue  # nothing in llama.cpp goes by it
        if wanted is not None and wanted < rows and now != wanted:
            found.values[key] = wanted
            found.said.append(f"{key} is {wanted}")


def _ends(
    keys: Mapping[str, Any], own: OwnTokenizer, rows: int, ends: Collection[int], found: Corrections
) -> None:
    """Let llama.cpp end an answer where the fine-tune does; it has three keys for that."""
    now = {**keys, **found.values}
    wanted = [i for i in (own.named.get("eos"), *sorted(ends)) if i is not None and i < rows]
    for i in dict.fromkeys(wanted):
        known = (own.token(i) or "") in _KNOWN_ENDS
        if known or i in (now.get(key) for key in (_KEYS["eos"], _EOT, _EOM)):
            continue
        free = next((key for key in (_EOT, _EOM) if now.get(key) is None), None)
        if free == _EOT and not _KNOWN_EOT.isdisjoint(text for text in own.tokens if text):
            # llama.cpp finds an end of turn by its text then, which this one shall not replace.
            free = _EOM if now.get(_EOM) is None else None
        if free is None:
            found.said.append(f"{own.token(i)!r} ends an answer and has no key left")
            continue
        found.values[free] = now[free] = i
        found.said.append(f"{free} is {i}")


def _around(keys: Mapping[str, Any], own: OwnTokenizer, found: Corrections) -> None:
    model = keys[f"{PREFIX}model"]
    if model == MERGED_BY_SCORE and bool(keys.get(_SPACE, True)) != own.begins_with_space:
        found.values[_SPACE] = own.begins_with_space
        found.said.append(f"{_SPACE} is {own.begins_with_space}")
    if own.around is None or model not in (MERGED_BY_SCORE, "gpt2"):
        return
    default = {"bos": model == MERGED_BY_SCORE or keys.get(f"{PREFIX}pre") in _ADDS_BOS}
    for part, ids in zip(_ADDS, own.around, strict=True):
        if len(ids) > 1:
            continue  # more than llama.cpp can put there
        if bool(keys.get(_ADDS[part], default.get(part, False))) != bool(ids):
            found.values[_ADDS[part]] = bool(ids)
            found.said.append(f"{_ADDS[part]} is {bool(ids)}")


def _text(token: Any) -> str:
    return token.decode("utf-8", "replace") if isinstance(token, (bytes, bytearray)) else str(token)


def _refuse_twins(texts: list[str]) -> None:
    seen: dict[str, int] = {}
    for i, text in enumerate(texts):
        if text in seen:
            raise RefusedError(
                f"the tokens {seen[text]} and {i} have the same text in a GGUF, {text!r}, and "
                "llama.cpp does not load that",
                owner="the tokenizer",
                safe="nothing was written",
                next="leave one of them away when the tokenizer is saved, or leave gguf out of "
                "--plugins",
            )
        seen[text] = i
