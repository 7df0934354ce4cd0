"""The fine-tune's own tokenizer, as the library that it was made for loads it.

The files are given to the tokenizers or the sentencepiece library themselves and not to
transformers, whose classes may put something else in place of what ``tokenizer.json`` says. What
transformers adds to either, named special tokens that the vocabulary lacks, is added here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import RefusedError, parse_json
from uploader_lora import read_json
from uploader_lora.tokens import TokenIds, read_token_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_OBEYS = re.compile(r"(Code)?Llama|Gemma|Cohere")
_MOST_TOKENS = 1 << 24
_CONTROL, _USER_DEFINED = 3, 4  # ModelProto.SentencePiece.Type


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedToken:
    """A token that is searched for in a text before the vocabulary is.

    Attributes:
        text: What is searched for.
        special: Not shown in answers.
        plain: Found wherever the text is; False when whitespace around it, the word that it is in
            or the normaliser has a say (``lstrip``, ``rstrip``, ``single_word``, ``normalized``).
    """

    text: str
    special: bool
    plain: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTokenizer:
    """Tokens by id, and how texts become tokens.

    Attributes:
        tokens: Text of each id, None where there is no token.
        added: Those that are searched for in a text first, by id.
        named: Id of tokens with a part to play, by that part (``eos``).
        encode: Tokenises a text without tokens around it; added tokens in it are found.
        around: Ids that are put before and behind a text; None when it is not known.
        merges: Pairs in the order in which they are merged; None for other than BPE.
        model: ``BPE``, ``Unigram``, ``WordPiece`` or ``sentencepiece``.
        byte_fallback: What is not in the vocabulary becomes tokens of its bytes (``<0x0A>``).
        parts: Normalisers and pre-tokenizers that a sentencepiece vocabulary does not have in
            llama.cpp.
    """

    tokens: list[str | None]
    added: Mapping[int, AddedToken]
    named: Mapping[str, int]
    encode: Callable[[str], list[int]]
    around: tuple[list[int], list[int]] | None
    model: str
    merges: list[tuple[str, str]] | None = field(default=None, repr=False)
    byte_fallback: bool = False
    parts: tuple[str, ...] = ()

    def token(self, identifier: int) -> str | None:
        """Return the text of an id."""
        return self.tokens[identifier] if identifier < len(self.tokens) else None

    @property
    def begins_with_space(self) -> bool:
        """Whether a text gets a space put before it, as sentencepiece does by default."""
        ids = self.encode("a")
        return bool(ids) and (self.token(ids[0]) or "").startswith("▁")

    def in_fragments(self, text: str) -> list[int]:
        """Tokenise as llama.cpp does with added tokens in a text.

        It puts the space that sentencepiece puts before a text before every part of it that follows
        an added token. So do older tokenizers; newer ones (``legacy: false``) only do it at the
        beginning, which no key of a GGUF can say.
        """
        by_text = {token.text: i for i, token in self.added.items()}
        pattern = re.compile("|".join(map(re.escape, sorted(by_text, key=len, reverse=True))))
        space = " " if self.begins_with_space else ""
        ids, at = [], 0
        for match in pattern.finditer(text):
            if match.start() > at:
                ids += self.encode((space if at else "") + text[at : match.start()])
            ids.append(by_text[match[0]])
            at = match.end()
        return ids + (self.encode((space if at else "") + text[at:]) if at < len(text) else [])


def read_own_tokenizer(folder: Path) -> OwnTokenizer | None:
    """Load the tokenizer of a folder.

    Returns:
        None when it has neither ``tokenizer.json`` nor a sentencepiece model.
    """
    files = {path.name: path for path in folder.iterdir() if path.is_file()}
    ids = read_token_ids(files)
    if ids is None:
        return None
    if "tokenizer.json" in files:
        return _from_json(files["tokenizer.json"], ids)
    if "tokenizer.model" in files:
        return _from_sentencepiece(files, ids)
    return None


def _from_json(path: Path, ids: TokenIds) -> OwnTokenizer:
    from tokenizers import AddedToken as Added
    from tokenizers import Tokenizer

    text = path.read_text("utf-8")
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    found = {t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special}
    missing = sorted(ids.special - found, key=ids.ids.__getitem__)
    tokenizer.add_special_tokens([Added(t, special=True, normalized=False) for t in missing])
    vocabulary = tokenizer.get_vocab()
    highest = max(vocabulary.values(), default=-1)
    if highest >= _MOST_TOKENS:
        raise RefusedError(
            f"the tokenizer has a token with the number {highest:,}",
            owner=str(path),
            safe="nothing was written",
            next="save the tokenizer that the model was trained with",
        )
    tokens: list[str | None] = [None] * (highest + 1)
    for token, i in vocabulary.items():
        tokens[i] = token
    normalised = tokenizer.normalizer is not None
    added = {
        i: AddedToken(
            text=t.content,
            special=t.special,
            plain=not (t.lstrip or t.rstrip or t.single_word or (t.normalized and normalised)),
        )
        for i, t in tokenizer.get_added_tokens_decoder().items()
    }
    byte_fallback = bool(getattr(tokenizer.model, "byte_fallback", False))
    # Only such a vocabulary needs more than the library tells, and parsing takes a second.
    data = parse_json(text) if byte_fallback else {}
    merges = data.get("model", {}).get("merges")
    return OwnTokenizer(
        tokens=tokens,
        added=added,
        named=_named(ids),
        encode=lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
        around=_configured(_around(tokenizer), ids, path.parent / "tokenizer_config.json"),
        model=type(tokenizer.model).__name__,
        merges=None if merges is None else [_pair(merge) for merge in merges],
        byte_fallback=byte_fallback,
        parts=tuple(_parts(data)),
    )


def _parts(tokenizer: dict[str, Any]) -> Iterator[str]:
    """Yield what a sentencepiece vocabulary cannot have in llama.cpp."""
    for part in (tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")):
        inner = part or {}
        for leaf in inner.get("normalizers") or inner.get("pretokenizers") or [inner]:
            if leaf.get("type") not in (None, "Prepend", "Replace", "Metaspace"):
                yield str(leaf["type"])


def _named(ids: TokenIds) -> dict[str, int]:
    return {part.removesuffix("_token"): ids.ids[text] for part, text in ids.named.items()}


def _pair(merge: Any) -> tuple[str, str]:
    """Read a merge, which older files have as one text with a space in it."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]] | None:
    plain = list(tokenizer.encode("a", add_special_tokens=False).ids)
    whole = list(tokenizer.encode("a").ids)
    for at in range(len(whole) - len(plain) + 1):
        if whole[at : at + len(plain)] == plain:
            return whole[:at], whole[at + len(plain) :]
    return None


def _configured(
    around: tuple[list[int], list[int]] | None, ids: TokenIds, config: Path
) -> tuple[list[int], list[int]] | None:
    """Let ``add_bos_token`` and ``add_eos_token`` count where they did when it was saved.

    In transformers 4 these classes go by them; transformers 5 goes by ``tokenizer.json``, and saves
    them no more.
    """
    said = read_json(config) if config.is_file() else {}
    if around is None or not _OBEYS.match(str(said.get("tokenizer_class") or "")):
        return around
    sides = []
    for part, found in zip(("bos", "eos"), around, strict=True):
        wanted, i = said.get(f"add_{part}_token"), _named(ids).get(part)
        if isinstance(wanted, bool) and i is not None:
            found = [i] if wanted else []
        sides.append(found)
    return sides[0], sides[1]


def _from_sentencepiece(files: Mapping[str, Path], ids: TokenIds) -> OwnTokenizer:
    """Load what transformers 4 and older saved without ``tokenizer.json``."""
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    content = files["tokenizer.model"].read_bytes()
    processor = SentencePieceProcessor(model_proto=content)
    classes: Any = sentencepiece_model_pb2
    proto = classes.ModelProto.FromString(content)
    tokens: list[str | None] = [piece.piece for piece in proto.pieces]
    added = {
        i: AddedToken(text=piece.piece, special=piece.type == _CONTROL)
        for i, piece in enumerate(proto.pieces)
        if piece.type in (_CONTROL, _USER_DEFINED)
    }
    for i, text in _declared(files, ids).items():
        tokens.extend([None] * (i + 1 - len(tokens)))
        tokens[i] = text
        added[i] = AddedToken(text=text, special=text in ids.special)
    by_text = {token.text: i for i, token in added.items()}
    longest_first = map(re.escape, sorted(by_text, key=len, reverse=True))
    pattern = re.compile("|".join(longest_first) or r"(?!)")

    def encode(text: str) -> list[int]:
        found: list[int] = []
        at = 0
        for match in pattern.finditer(text):
            found += processor.encode(text[at : match.start()]) if match.start() > at else []
            found.append(by_text[match[0]])
            at = match.end()
        return found + (list(processor.encode(text[at:])) if at < len(text) else [])

    return OwnTokenizer(
        tokens=tokens,
        added=added,
        named=_named(ids),
        encode=encode,
        around=None,
        model="sentencepiece",
        byte_fallback=bool(proto.trainer_spec.byte_fallback),
    )


def _declared(files: Mapping[str, Path], ids: TokenIds) -> dict[int, str]:
    """Return the tokens that were added to a sentencepiece model, by the ids that they say.

    The tokenizers of transformers 4 that ran sentencepiece itself obeyed these ids.
    """
    config = read_json(files["tokenizer_config.json"]) if "tokenizer_config.json" in files else {}
    decoder = config.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        return {int(i): token["content"] for i, token in decoder.items()}
    older = read_json(files["added_tokens.json"]) if "added_tokens.json" in files else {}
    found = {i: text for text, i in older.items() if type(i) is int}
    return found | {ids.ids[text]: text for text in ids.special if text not in found.values()}
