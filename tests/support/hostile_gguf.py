"""Hostile fine-tunes that are released as GGUF: what renders, tokenises and converts meets them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from hostile_configs import CONFIGS
from hostile_place import Damage, Hostile, Place, cases
from hostile_tokenizers import TOKENIZERS, is_sentencepiece

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def _template(text: str | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> None:
        said = text(place) if callable(text) else text
        (place.adapter / "chat_template.jinja").write_text(said + CHAT)

    return damage


TEMPLATES: dict[str, Damage] = {
    "never ends": _template(LOOP),
    "never ends in llama.cpp alone": _template(
        f"{{% if cycler is not defined %}}{LOOP}{{% endif %}}"
    ),
    "a text of all memory": _template("{{ 'x' * 10**10 }}"),
    "calls itself": _template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    "nested 5,000 deep": _template("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"),
    "not a template": _template("{% for %}"),
    "a way out of the sandbox": _template(
        lambda p: f"{{{{ cycler.__init__.__globals__.os.popen('touch {p.canary}').read() }}}}"
    ),
    "a file outside": _template(lambda p: f"{{% include '{p.outside}' %}}"),
}


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    said = b""
    while number >= 0x80:
        said += bytes([number & 0x7F | 0x80])
        number >>= 7
    return said + bytes([number])


def _message(field: int, content: bytes, length: int | None = None) -> bytes:
    return _tag(field, 2) + _varint(len(content) if length is None else length) + content


def _piece(text: bytes, score: float = 0.0, kind: int = 1) -> bytes:
    return _message(1, _message(1, text) + _tag(2, 5) + struct.pack("<f", score) + b"\x18"
                    + _varint(kind))  # fmt: skip


_SOUND = _piece(b"<unk>", kind=2) + _piece(b"<s>", kind=3) + _piece(b"</s>", kind=3)
_SOUND += b"".join(_piece(bytes([n])) for n in range(33, 127))
_TRAINER = _message(2, b"\x18\x02" + b"\x20" + _varint(97))  # BPE, 97 pieces
SENTENCEPIECE: dict[str, bytes] = {
    "cut off": (_SOUND + _TRAINER)[:-3],
    "cut off in a piece": _SOUND[:-2],
    "a piece beyond the file": _SOUND + _message(1, b"x", 1 << 40),
    "a piece of 2^64-1 bytes": _SOUND + _message(1, b"x", (1 << 64) - 1),
    "a number of 4,096 bytes": _SOUND + b"\x18" + b"\xff" * 4096,
    "groups nested 100,000 deep": _SOUND + _tag(50, 3) * 100_000,
    "messages nested 100,000 deep": _SOUND + _message(3, b"\x0a\x7f" * 100_000),
    "a vocabulary of 2^31-1": _SOUND + _message(2, b"\x18\x02\x20" + _varint(2**31 - 1)),
    "a million empty pieces": _message(1, b"") * 1_000_000,
    "pieces that are not UTF-8": _SOUND + _piece(b"\xff\xfe"),
    "a score that is not a number": _SOUND + _piece("é".encode(), float("nan")) + _TRAINER,
    "a type of piece that is none": _SOUND + _piece("é".encode(), kind=1 << 40) + _TRAINER,
    "a normaliser of a stranger": _SOUND + _TRAINER + _message(3, _message(2, b"\xff" * 4096)),
    "a field that is none": _SOUND + b"\x07\x00",
    "a pickle": b"\x80\x04\x95" + bytes(64),
    "no pieces": _TRAINER,
    "empty": b"",
}

_FORMATS: dict[str, Any] = {"plugins": "gguf"}
_TOKENIZERS = (
    "nested 100,000 deep", "zero bytes", "500 MB that take no room", "a class of a stranger",
    "added tokens that are a list", "added tokens with numbers that are none",
    "a normaliser that is a list",
    "a vocabulary of lists", "a vocabulary of texts", "merges that are numbers",
    "an added token of 2^62", "tokens that are numbers",
    "a table of merges of a stranger", "a vocabulary with numbers beyond it",
    "an expression that takes for ever",
)  # fmt: skip
_CONFIGS = (
    "code for a known type", "code for an unknown type", "10^9 layers", "layers below zero",
    "a vocabulary of 2^60", "a hidden size that is a text", "heads of zero",
    "a rope of a stranger", "a rope without end",
)  # fmt: skip

RELEASES: list[Hostile] = [
    *cases("gguf template", TEMPLATES, **_FORMATS),
    *cases(
        "gguf tokenizer",
        {what: TOKENIZERS[what] for what in _TOKENIZERS},
        harmless={"an added token of 2^62"},
        **_FORMATS,
    ),
    *cases(
        "gguf config",
        {what: CONFIGS[what] for what in _CONFIGS},
        harmless={"code for a known type"},
        **_FORMATS,
    ),
    *cases(
        "sentencepiece",
        {what: is_sentencepiece(content) for what, content in SENTENCEPIECE.items()},
        **_FORMATS,
    ),
]
