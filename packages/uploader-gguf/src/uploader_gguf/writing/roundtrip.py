"""Compare llama.cpp's tokenisation of a finished file with the tokenizer's own.

A wrong pre-tokenizer gives a model that answers, only worse, and nobody sees why. So texts of many
scripts, and every added token between words, are tokenised by both, and a difference fails the
step.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uploader_core.plugin import IntegrityError
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp.smoke import Probe
from uploader_gguf.tokenizer.own_tokenizer import OwnTokenizer
from uploader_gguf.tokenizer.sentencepiece_model import is_sentencepiece
from uploader_gguf.tokenizer.vocabulary_keys import MERGED_BY_SCORE, PREFIX
from uploader_merged.texts import BUILTIN, CALIBRATION, text_path

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

_RUNS = tuple(f"one{' ' * n}two\n{' ' * n}three{chr(10) * n}four" for n in range(2, 41))
# Text that begins with a token is cut with the space that sentencepiece puts before a text.
_ADDED = "one{0}two {0} three"
_AT_ONCE = 24


def probes_for(own: OwnTokenizer, folder: Path) -> tuple[Probe, ...]:
    """Return the texts that a tokenizer can be compared with.

    Args:
        own: The tokenizer.
        folder: Its files.
    """
    texts = list(TEXTS)
    path = folder / "tokenizer.json"
    if path.is_file() and '"BertNormalizer"' in path.read_text("utf-8"):
        texts = [text for text in TEXTS if not any(_unlike_bert(c) for c in text)]
    if is_sentencepiece(own):
        # Scores stand for the order of merges there, so more than the pre-tokenizer is at stake.
        # Runs of spaces that are added tokens are found longest first, and not merged.
        texts += () if any(t.text == "▁▁" for t in own.added.values()) else _RUNS
        texts += text_path(BUILTIN, "", CALIBRATION).read_text("utf-8").splitlines()
        texts = [text for text in texts if text.strip() and not text.startswith(" ")]
    return (*(Probe(text=text) for text in texts), *_with_added_tokens(own))


def _with_added_tokens(own: OwnTokenizer) -> Iterator[Probe]:
    """Yield every added token alone, and between words with and without spaces.

    Where the tokenizer looks at what is around a token, llama.cpp does not, so it is alone only.
    """
    # A token of spaces, or of the mark that stands for them, is one with the text around it.
    tokens = [token for token in own.added.values() if token.text.strip("▁ \t\r\n")]
    if any(token.text == "<|tool_response>" for token in tokens):
        # llama.cpp makes ordinary text of this one then (``llama_vocab::impl::load``).
        tokens = [token for token in tokens if token.text != "</s>"]
    plain = [token.text for token in tokens if token.plain]
    for at in range(0, len(plain), _AT_ONCE):
        part = plain[at : at + _AT_ONCE]
        yield Probe(text="\n".join(_ADDED.format(text) for text in part), special=True)
    for token in tokens:
        if not token.plain:
            yield Probe(text=token.text, special=True)


def compare(
    probes: tuple[Probe, ...], theirs: list[list[int]], own: OwnTokenizer, file: Path
) -> None:
    """Fail unless llama.cpp tokenises as the tokenizer's own files say.

    Args:
        probes: What was tokenised, see :func:`probes_for`.
        theirs: The token ids that llama.cpp made of each.
        own: The tokenizer.
        file: That was asked.

    Raises:
        IntegrityError: A text becomes other tokens; the first one is shown.
    """
    for probe, ids in zip(probes, theirs, strict=True):
        ours = own.encode(probe.text)
        if ours == ids or (probe.special and ids == own.in_fragments(probe.text)):
            continue
        common = zip(ours, ids, strict=False)
        at = next((i for i, (a, b) in enumerate(common) if a != b), min(len(ours), len(ids)))
        why, advice = _cause(own, str(read_header(file).keys.get(f"{PREFIX}model")))
        raise IntegrityError(
            f"llama.cpp tokenises {_around(probe.text, own, ours, at)!r} otherwise than the model's"
            f" tokenizer: token {at} is {_shown(own, ids, at)} instead of {_shown(own, ours, at)}"
            + why,
            owner="the vocabulary of the GGUF files",
            safe="the step is not recorded as done, so nothing of it is uploaded",
            next=advice,
        )


def _cause(own: OwnTokenizer, model: str) -> tuple[str, str]:
    """Return why, as far as it is known, and what to do."""
    if model in ("gpt2", "whitespace"):
        return "", (
            "name another pre-tokenizer with --gguf-pre-tokenizer, or accept it with"
            " --no-gguf-tokenizer-check"
        )
    why = ""
    if model != MERGED_BY_SCORE:
        why = f"; llama.cpp's own rules for a vocabulary of the kind {model} cut it so"
    elif own.model == "Unigram":
        why = "; its vocabulary is a unigram model, and llama.cpp joins its pieces pair by pair"
    elif own.parts:
        why = f"; llama.cpp has nothing like {', '.join(own.parts)} of tokenizer.json"
    return why, "leave gguf out of --plugins; merged-16bit keeps the tokenizer as it is"


def _unlike_bert(character: str) -> bool:
    """Whether llama.cpp strips accents otherwise than BERT's normaliser, for every such model.

    It takes Hangul apart in another way, and drops spacing marks of Indic scripts as accents.
    """
    return "가" <= character <= "힣" or "\u0900" <= character <= "\u0dff"


def _around(text: str, own: OwnTokenizer, ids: list[int], at: int) -> str:
    """Return a short text whole, and of a long one the part before a token."""
    if len(text) < 120:
        return text
    shown = "".join(own.token(i) or "" for i in ids[max(0, at - 8) : at + 4])
    return f"…{shown.replace('▁', ' ')}…"


def _shown(own: OwnTokenizer, ids: list[int], at: int) -> str:
    return f"{own.token(ids[at])!r} ({ids[at]})" if at < len(ids) else "missing"
