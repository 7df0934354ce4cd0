"""The tokens of a tokenizer by id, from its files alone, as the tokenizers library numbers them.

``added_tokens[].id`` of ``tokenizer.json`` is not what counts: tokenizers 0.23 gives an added token
the id of the vocabulary if it is in there, and otherwise the next free one, in the order of the
file and whatever id stands there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import digests_of, is_remembering, remembered
from uploader_lora.stored import MAX_TOKENIZER, read_json
from uploader_lora.tokenizer_file import read_tokenizer, strange_form

# The order in which transformers adds those that the vocabulary lacks
# (``PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES``).
_NAMED = (
    *("bos_token", "eos_token", "unk_token", "sep_token"),
    *("pad_token", "cls_token", "mask_token"),
)
_NUMBER = re.compile(r"[0-9]{1,20}")
_LISTED = ("extra_special_tokens", "additional_special_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenIds:
    """Which id each token has.

    Attributes:
        ids: By the token's text.
        named: Texts of the tokens with a part to play, by that part (``eos_token``).
        special: Texts of the tokens that are not shown when a model answers.
    """

    ids: Mapping[str, int]
    named: Mapping[str, str]
    special: frozenset[str]

    def beyond(self, rows: int) -> tuple[str, ...]:
        """Return the tokens that a matrix of so many rows has none for, by id."""
        return tuple(
            sorted((t for t, i in self.ids.items() if i >= rows), key=self.ids.__getitem__)
        )


def read_token_ids(files: Mapping[str, Path]) -> TokenIds | None:
    """Return the tokens of a tokenizer.

    Args:
        files: Tokenizer files by their names, of one folder or of several that complete each other.

    Returns:
        None when there are none, or of a kind that is not read here (tiktoken, tekken).

    Raises:
        SourceError: One of the files is not what its name says.
    """
    key = tuple(
        (name, path, path.stat().st_mtime_ns, path.stat().st_size)
        for name, path in sorted(files.items())
        if name in _FILES
    )
    return _read(key)


_FILES = {
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
}


@functools.lru_cache(maxsize=4)
def _read(key: tuple[tuple[str, Path, int, int], ...]) -> TokenIds | None:
    files = {name: path for name, path, _, _ in key}
    if not is_remembering():
        return _parse(files)
    found = remembered("token ids", digests_of(files), lambda: _to_json(_parse(files)))
    return None if found is None else _from_json(found)


def _to_json(tokens: TokenIds | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    return {"ids": {**tokens.ids}, "named": {**tokens.named}, "special": [*tokens.special]}


def _from_json(data: dict[str, Any]) -> TokenIds:
    return TokenIds(ids=data["ids"], named=data["named"], special=frozenset(data["special"]))


def _parse(files: Mapping[str, Path]) -> TokenIds | None:
    config = _object(files.get("tokenizer_config.json"))
    declared = config.get("added_tokens_decoder")
    if declared is None:
        # As transformers has it: the older file counts where the newer list is missing.
        config = {**config, **_object(files.get("special_tokens_map.json"))}
    named = {name: text for name in _NAMED if (text := _text(config.get(name)))}
    if "tokenizer.json" in files:
        tokenizer = read_tokenizer(files["tokenizer.json"])
        ids = _vocabulary(tokenizer.get("model"))
        added = _items(tokenizer.get("added_tokens"))
    else:
        ids = _older_vocabulary(files)
        older = _object(files.get("added_tokens.json"))
        if not all(type(number) is int for number in older.values()):
            raise strange_form(files["added_tokens.json"], "a number")
        added = [] if declared else sorted(older, key=older.__getitem__)
    if isinstance(declared, dict):
        if not all(_NUMBER.fullmatch(i) for i in declared):
            raise strange_form(files["tokenizer_config.json"], "added_tokens_decoder")
        added += [declared[i] for i in sorted(declared, key=int)]
    if not ids:
        return None
    listed = [token for name in _LISTED for token in _items(config.get(name))]
    _add(ids, map(_text, (*added, *named.values(), *listed)))
    flagged = [token for token in added if isinstance(token, dict) and token.get("special")]
    special = frozenset(t for token in (*flagged, *named.values(), *listed) if (t := _text(token)))
    return TokenIds(ids=ids, named=named, special=special)


def _add(ids: dict[str, int], tokens: Iterable[str | None]) -> None:
    """Number tokens as ``AddedVocabulary`` of tokenizers does."""
    following = len(ids)
    for token in tokens:
        if token and token not in ids:
            ids[token] = following
            following += 1


def _vocabulary(model: Any) -> dict[str, int]:
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        return dict(vocabulary)
    if isinstance(vocabulary, list):  # unigram: pairs of piece and score
        return {pair[0]: i for i, pair in enumerate(vocabulary)}
    return {}


def _older_vocabulary(files: Mapping[str, Path]) -> dict[str, int]:
    """Read what tokenizers were saved in before ``tokenizer.json``."""
    if "tokenizer.model" in files:
        return {piece: i for i, piece in enumerate(_pieces(files["tokenizer.model"].read_bytes()))}
    if "vocab.json" in files:
        return {
            token: i
            for token, i in read_json(files["vocab.json"], MAX_TOKENIZER).items()
            if type(i) is int
        }
    if "vocab.txt" in files:
        lines = files["vocab.txt"].read_text("utf-8", "replace").split("\n")
        return {token.rstrip("\r"): i for i, token in enumerate(lines) if token}
    return {}


def _pieces(model: bytes) -> list[str]:
    """Return the pieces of a sentencepiece model; none when it is something else (tiktoken).

    ``ModelProto`` of ``sentencepiece_model.proto``: field 1 is a piece, and field 1 of that its
    text. Protocol buffers: https://protobuf.dev/programming-guides/encoding/
    """
    try:
        return [
            text.decode("utf-8", "replace")
            for number, piece in _fields(model)
            if number == 1
            for inner, text in _fields(piece)
            if inner == 1
        ]
    except (IndexError, ValueError):
        return []


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the fields that have a length; others are stepped over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("cut off")
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("not a protocol buffer")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _object(path: Path | None) -> dict[str, Any]:
    return {} if path is None else read_json(path)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _text(token: Any) -> str | None:
    """Return a token's text, which stands there alone or in an object with its properties."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) and content else None
