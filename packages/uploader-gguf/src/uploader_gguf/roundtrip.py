"""Compare llama.cpp's tokenisation of a finished file with the tokenizer's own.

A wrong pre-tokenizer gives a model that answers, only worse, and nobody sees why. So texts of many
scripts are tokenised by both, and a difference fails the step.
"""

from __future__ import annotations

import logging
from pathlib import Path

from uploader_core.plugin import IntegrityError
from uploader_gguf import smoke

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and it's 7:45 o'clock.",
    "I'll, we've, they'RE, don't; HELLO World iPhone",
    "two  spaces, a\ttab,\n\nempty lines\n   and an indent",
    "1 22 333 4444 55555 3.14159 1,000,000 0xFF",
    "def f(x: int) -> dict[str, int]:\n    return {'a': x ** 2}  # comment\n",
    "Быстрая коричневая лиса. Ёлка и подъезд.",
    "敏捷的棕色狐狸跳过了懒狗。我想在apple工作1314151天～",
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

None begins with a space: there transformers' Metaspace and sentencepiece itself disagree, and
llama.cpp sides with sentencepiece.
"""


def check(path: Path, folder: Path, log: logging.Logger) -> None:
    """Fail unless llama.cpp and transformers tokenise alike.

    Args:
        path: A finished GGUF file.
        folder: Tokenizer files.
        log: Says when there is nothing to compare with.

    Raises:
        IntegrityError: A text becomes other tokens; the first one is shown.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        log.warning("the tokenisation was not compared: transformers cannot load it (%s)", error)
        return
    theirs = smoke.ask(path, "", 0, TEXTS).texts
    for text, ids in zip(TEXTS, theirs, strict=True):
        own = list(tokenizer.encode(text, add_special_tokens=False))
        if own != ids:
            at = next(
                (i for i, (a, b) in enumerate(zip(own, ids, strict=False)) if a != b),
                min(len(own), len(ids)),
            )
            raise IntegrityError(
                f"llama.cpp tokenises {text!r} otherwise than the model was trained with: token"
                f" {at} is {_shown(tokenizer, ids, at)} instead of {_shown(tokenizer, own, at)}",
                owner=f"the vocabulary of {path.name}",
                safe="the step is not recorded as done, so nothing of it is uploaded",
                next="name another pre-tokenizer with --gguf-pre-tokenizer, or accept it with"
                " --no-gguf-tokenizer-check",
            )


def _shown(tokenizer: object, ids: list[int], at: int) -> str:
    if at >= len(ids):
        return "missing"
    name = tokenizer.convert_ids_to_tokens(ids[at])  # type: ignore[attr-defined]
    return f"{name!r} ({ids[at]})"
