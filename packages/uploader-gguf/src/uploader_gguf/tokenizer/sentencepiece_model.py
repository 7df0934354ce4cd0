"""A ``tokenizer.model`` for a sentencepiece vocabulary that has only its ``tokenizer.json``.

transformers 5 saves ``tokenizer.json`` alone. llama.cpp's converter reads ``tokenizer.model`` for
most architectures with such a vocabulary: some (Gemma 2, Phi-3) do not convert without it, Gemma 3
takes the tokenizer for a byte-level one, and Llama gets the same score for every token and no
padding up to ``vocab_size``. So the file is made again for the converter; it is not released.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from uploader_gguf.tokenizer.merge_order import ranked
from uploader_gguf.tokenizer.own_tokenizer import OwnTokenizer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def is_sentencepiece(own: OwnTokenizer) -> bool:
    """Return whether a vocabulary is one of sentencepiece's BPE, as that of Llama or Gemma is."""
    return own.model == "BPE" and own.byte_fallback and "<0x00>" in own.tokens


def restore(own: OwnTokenizer, target: Path) -> None:
    """Write the sentencepiece model that a tokenizer was made of.

    Args:
        own: See :func:`is_sentencepiece`.
        target: ``tokenizer.model``.
    """
    from sentencepiece import sentencepiece_model_pb2

    classes: Any = sentencepiece_model_pb2
    proto = classes.ModelProto()
    kinds = proto.SentencePiece
    unknown = own.named.get("unk", 0)
    order = {text: rank for rank, text in enumerate(ranked(own.merges or ()))}
    for i, text in enumerate(own.tokens):
        token, piece = own.added.get(i), text or f"[PAD{i}]"
        if i == unknown:
            kind = kinds.UNKNOWN
        elif token is not None:
            kind = kinds.CONTROL if token.special else kinds.USER_DEFINED
        elif _BYTE.fullmatch(piece):
            kind = kinds.BYTE
        else:
            kind = kinds.UNUSED if text is None else kinds.NORMAL
        # Single characters come after all that is merged, as sentencepiece has them.
        score = -float(order.get(piece, len(order) + i)) if kind == kinds.NORMAL else 0.0
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_id = unknown
    proto.trainer_spec.unk_piece = own.tokens[unknown] or "<unk>"
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = own.begins_with_space
    proto.normalizer_spec.remove_extra_whitespaces = False
    target.write_bytes(proto.SerializeToString())
