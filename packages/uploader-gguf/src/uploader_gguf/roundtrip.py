"""Compare llama.cpp's tokenisation of a finished file with the tokenizer's own.

A wrong pre-tokenizer gives a model that answers, only worse, and nobody sees why. So texts of many
scripts are tokenised by both, and a difference fails the step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from uploader_core.plugin import IntegrityError

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and it's 7:45 o'clock.",
    "I'll, we've, they'RE, don't; HELLO World iPhone",
    "two  spaces, a\ttab,\n\nempty lines\n   and an indent",
    "1 22 333 4444 55555 3.14159 1,000,000 0xFF",
    "def f(x: int) -> dict[str, int]:\n    return {'a': x ** 2}  # comment\n",
    "Быстрая коричневая лиса. Ёлка и подъезд.",
    "敏捷的棕色狐狸跳过了懒狗。我想在apple工作1314151天\uff5e",
    "いろはにほへと、ちりぬるを。カタカナも。",
    "다람쥐 헌 쳇바퀴에 타고파",
    "سريع الثعلب البني يقفز فوق الكلب الكسول",
    "नमस्ते दुनिया, यह एक परीक्षण है",
    "สวัสดีชาวโลก",
    "Đường xưa — größer, naïve façade, Ísland",
    "🙂🚀 👩‍👩‍👧 ✅ 🦙🦙",
    "====== ----- ''''' ``````` \"quoted\" «цитата» …",
)
"""In composed form (NFC): llama.cpp does not normalise, and trainers' data is composed.

None begins with a space: there the Metaspace of tokenizer.json and sentencepiece itself disagree,
and llama.cpp sides with sentencepiece.
"""


def compare(
    texts: tuple[str, ...], theirs: list[list[int]], folder: Path, log: logging.Logger
) -> None:
    """Fail unless llama.cpp tokenises as the tokenizer's own files say.

    The files are asked directly and not through transformers, whose classes may put something else
    in place of what ``tokenizer.json`` says.

    Args:
        texts: What was tokenised, see :func:`texts_for`.
        theirs: The token ids that llama.cpp made of each.
        folder: Tokenizer files.
        log: Says when there is nothing to compare with.

    Raises:
        IntegrityError: A text becomes other tokens; the first one is shown.
    """
    reference = _reference(folder)
    if reference is None:
        log.warning("the tokenisation was not compared: no tokenizer.json and no tokenizer.model")
        return
    encode, name_of = reference
    for text, ids in zip(texts, theirs, strict=True):
        own = encode(text)
        if own != ids:
            common = zip(own, ids, strict=False)
            at = next((i for i, (a, b) in enumerate(common) if a != b), min(len(own), len(ids)))
            raise IntegrityError(
                f"llama.cpp tokenises {text!r} otherwise than the model's tokenizer: token {at} is"
                f" {_shown(name_of, ids, at)} instead of {_shown(name_of, own, at)}",
                owner="the vocabulary of the GGUF files",
                safe="the step is not recorded as done, so nothing of it is uploaded",
                next="name another pre-tokenizer with --gguf-pre-tokenizer, or accept it with"
                " --no-gguf-tokenizer-check",
            )


def texts_for(folder: Path) -> tuple[str, ...]:
    """Return the texts that a tokenizer can be compared with."""
    path = folder / "tokenizer.json"
    if path.is_file() and '"BertNormalizer"' in path.read_text("utf-8"):
        return tuple(text for text in TEXTS if not any(_unlike_bert(c) for c in text))
    return TEXTS


def _unlike_bert(character: str) -> bool:
    """Whether llama.cpp strips accents otherwise than BERT's normaliser, for every such model.

    It takes Hangul apart in another way, and drops spacing marks of Indic scripts as accents.
    """
    return "가" <= character <= "힣" or "\u0900" <= character <= "\u0dff"


def _reference(
    folder: Path,
) -> tuple[Callable[[str], list[int]], Callable[[int], str | None]] | None:
    """Return functions that tokenise a text without special tokens, and that name a token."""
    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return (
            lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
            tokenizer.id_to_token,
        )
    if (folder / "tokenizer.model").is_file():
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return lambda text: list(processor.encode(text)), processor.id_to_piece
    return None


def _shown(name_of: Callable[[int], str | None], ids: list[int], at: int) -> str:
    return f"{name_of(ids[at])!r} ({ids[at]})" if at < len(ids) else "missing"
