"""Tokenizer, embedding and ``vocab_size`` say how many tokens there are, and may contradict.

Seen where tokens are added and ``resize_token_embeddings`` is forgotten
(https://github.com/canopyai/Orpheus-TTS/issues/219).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from uploader_core.plugin import Finding, tokenizer_templates
from uploader_lora.companions import companion_files
from uploader_lora.templates import JINJA, PROCESSOR, check_templates
from uploader_lora.tokens import TokenIds, read_token_ids
from uploader_merged.base.model import nested_configs
from uploader_merged.base.tying import embedding_name
from uploader_merged.checkpoint import Checkpoint

_SHOWN = 4
# A text begins or ends with them, so every text would need the row that is not there.
_NEEDED = ("bos_token", "eos_token")


def tokens_without_rows(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the tokens of the tokenizer that the embedding has no row for, by their ids."""
    embedding, tokens = embedding_name(checkpoint.base), _tokens(checkpoint)
    if embedding is None or tokens is None:
        return ()
    return tokens.beyond(checkpoint.shape(embedding)[0])


def check_tokenizer(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield what tokenizer and chat templates say against each other or against the weights.

    Everything is read from headers and small files.
    """
    # What gets another text here does not contradict the others any more.
    yield from check_templates(
        {
            file.name: file.path
            for file in checkpoint.companions()
            if file.text is None or file.name not in (JINJA, PROCESSOR)
        }
    )
    yield from _check_rows(checkpoint)


def _check_rows(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield what is wrong with the number of tokens.

    Tokens without a row are a warning, because texts without them are computed as trained; without
    the token that ends every text the model is of no use. They are a note where nothing makes a
    text hold them: tokens that the base lacks rows for as well (the text models of Gemma 3 have a
    token for images), and special tokens that no template writes.
    """
    embedding = embedding_name(checkpoint.base)
    if embedding is None:
        return
    rows = checkpoint.shape(embedding)[0]
    sizes = [
        size
        for part in nested_configs(checkpoint.config)
        if type(size := part.get("vocab_size")) is int
    ]
    if sizes and rows not in sizes:
        yield Finding(
            level="error",
            what=f"config.json says vocab_size {sizes[0]} and {embedding} has {rows} rows, so "
            "neither transformers nor llama.cpp can load the model",
            next=f'set "vocab_size": {rows} in {checkpoint.base.folder / "config.json"} if the '
            "weights are right",
        )
    tokens = _tokens(checkpoint)
    missing = () if tokens is None else tokens.beyond(rows)
    if tokens is None or not missing:
        return
    yield _missing_rows(checkpoint, tokens, missing, f"{embedding} has {rows} rows")


def _missing_rows(
    checkpoint: Checkpoint, tokens: TokenIds, missing: tuple[str, ...], rows: str
) -> Finding:
    needed = [part for part in _NEEDED if tokens.named.get(part) in missing]
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    what = (
        f"the tokenizer has {len(tokens.ids)} tokens and {rows}: "
        f"{', '.join(missing[:_SHOWN])}{more} {'has' if len(missing) == 1 else 'have'} none"
    )
    if needed:
        what += f", and {tokens.named[needed[0]]} is the tokenizer's {needed[0]}"
    level: Literal["error", "warning", "note"] = "error" if needed else "warning"
    if not needed and not _can_occur(checkpoint, tokens, missing):
        level = "note"
    return Finding(
        level=level,
        what=what + ", and a text with such a token cannot be computed",
        next=None
        if level == "note"
        else "save the tokenizer that the model was trained with, or train the tokens: "
        "model.resize_token_embeddings(len(tokenizer)) before the training",
    )


def _can_occur(checkpoint: Checkpoint, tokens: TokenIds, missing: tuple[str, ...]) -> bool:
    """Return whether texts of the fine-tune may hold a token, as far as its files say."""
    if checkpoint.adapters:
        base = read_token_ids(companion_files(checkpoint.base.folder))
        if base is not None:
            return any(token not in base.ids for token in missing)
    templates = tokenizer_templates({f.name: f.path for f in checkpoint.companions()})
    text = "".join((templates.default or "", *templates.named.values()))
    return any(token not in tokens.special or token in text for token in missing)


def _tokens(checkpoint: Checkpoint) -> TokenIds | None:
    return read_token_ids(
        {file.name: file.path for file in checkpoint.companions() if file.role == "tokenizer"}
    )
