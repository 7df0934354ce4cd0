"""Look through a file for secrets, as it is on the disk: any size, encoding and escape.

Files are read in blocks, and only the surroundings of a mark are matched with a pattern: a file
without marks, such as a vocabulary, costs a few searches for plain bytes.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import codecs
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

from uploader_core.secret_patterns import RUN, SHORTEST_RUN, secret_patterns

LARGEST_BINARY = 8 << 20
"""Bytes; a larger one holds numbers."""

_BLOCK = 4 << 20
_BEFORE, _NEAR, _BEHIND = 256, 256, 2 << 10
"""Bytes before a mark, behind it in other lines, and in its own: the longest secret."""

_COLOURS = re.compile(rb"(?:\x1b|\\u001[bB]|\\x1[bB]|\\033)\[[0-9;]*m")
# Base64 of text of one byte a letter: the first six of each 24 bits say so.
_BASE64 = re.compile(rb"[\"'=: ]((?:[C-Za-f][A-Za-z0-9+/]{3}){6,}[A-Za-z0-9+/]{0,3}={0,2})")
# In an address, a name with its value, or an address.
_QUOTED = re.compile(rb"[\w.~%-]*%3[AaDd][\w.~%-]{12,}")
# How pickle stores a text that is behind another.
_PICKLED = re.compile(rb"q[\x00-\xff]X[\x01-\xff]\0\0\0|q[\x00-\x1f\x7f-\xff]")
_IN_RUNS = bytes(byte if chr(byte) in RUN else ord(" ") for byte in range(256))
_LINE_END = re.compile(rb"\n")
_PRINTED = re.compile(rb"[\t\n\r -~]+")

# What documentation writes in the place of a secret.
_SAYS_SO = re.compile(
    r"your|example|placeholder|xxxx|\*\*\*|dummy|redacted|insert|replace|_here|\.\.\.",
    re.IGNORECASE,
)
_NO_PASSWORD = re.compile(
    r"pass|secret|test|fake|sample|change.?me|admin|token|demo|user|^pwd$|^[\[(*%<${]|^.{,16}123.{,4}$",
    re.IGNORECASE,
)
_OPENING = tuple("[(*%<${")
_LONGEST_PASSWORD = 32
"""Characters; what is longer no person thought of, and words in it are there by chance."""
_USER_AS_PASSWORD = re.compile(r"\w+://([^:]+):\1@.*")
# Where a name and a password stand in base64, and words that only look like it.
_LOGIN = re.compile(r"\"auth\\*\"|authorization\W{1,10}basic\s", re.IGNORECASE)
_FEWEST_LETTERS = 6
"""A value with fewer different characters is ``xxxxxxxx``, written by somebody who took care."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """Something that looks like a secret.

    Attributes:
        line: Counted from 1; where the secret begins.
        what: Which type of secret.
        text: With what tells that it is one.
        secret: The secret alone.
    """

    line: int
    what: str
    text: str
    secret: str


def find_in_file(path: Path) -> list[Hit]:
    """Return what looks like a secret in a file, in the order of the lines.

    Args:
        path: Of text of any size, or of something else of :data:`LARGEST_BINARY` at most.
    """
    hits: set[Hit] = set()
    lines = 1
    for block, first, last in _blocks(path):
        ends = None  # of lines; most blocks have no hit
        for start, hit in _found(block):
            if first <= start < last:
                ends = ends or [first, *(end.start() for end in _LINE_END.finditer(block, first))]
                hits.add(replace(hit, line=lines + bisect.bisect(ends, start) - 1))
        lines += block.count(b"\n", first, last)
    return sorted(hits, key=lambda hit: (hit.line, hit.what, hit.text))


def _blocks(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield text with the range that is looked at; around it is what was, and what will be."""
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        large = path.stat().st_size > LARGEST_BINARY
        encoding = _sixteen_bits(head, marked=large)  # small numbers look like such letters
        if encoding is None and b"\0" in head and large:
            return
        decode = codecs.getincrementaldecoder(encoding)("replace").decode if encoding else None
        text, first, data = b"", 0, head
        while data:
            if decode:
                data = decode(data).encode()
            elif b"\0" in head:
                data = _PICKLED.sub(b" ", data).replace(b"\0", b" ")
            text += data
            if any(mark in text for mark in (b"\x1b[", b"u001", b"x1b[", b"x1B[", b"\\033")):
                text = _COLOURS.sub(b"", text)
            data = file.read(_BLOCK)
            last = max(first, len(text) - _BEHIND) if data else len(text)
            yield text, first, last
            kept = max(0, last - _BEFORE)
            text, first = text[kept:], last - kept


def _sixteen_bits(head: bytes, *, marked: bool) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if marked:
        return None
    start = head[:4096]
    zeros = start[1::2].count(0), start[0::2].count(0)
    if max(zeros) * 4 > len(start) and min(zeros) * 20 < len(start):
        return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    return None


def _found(text: bytes) -> Iterator[tuple[int, Hit]]:
    yield from _matched(text)
    for run in _BASE64.finditer(text):
        code = run[1].rstrip(b"=")
        if _PRINTED.fullmatch(_decoded(code[:40])) and _PRINTED.fullmatch(inner := _decoded(code)):
            for _, hit in _matched(inner):
                yield run.start(1), hit
    for start, end in _around(text, text, ("%3",)):
        for run in _QUOTED.finditer(text, start, end):
            for _, hit in _matched(unquote_to_bytes(run[0])):
                yield run.start(), hit


def _decoded(code: bytes) -> bytes:
    try:
        return base64.b64decode(
            code.rstrip(b"=") + b"=" * (-len(code.rstrip(b"=")) % 4), validate=True
        )
    except binascii.Error:
        return b""


def _matched(text: bytes) -> Iterator[tuple[int, Hit]]:
    """Yield where a secret begins, and what it is; of two at one place the first of the list."""
    folded = text.lower()
    words = folded.translate(_IN_RUNS).split()
    runs = b" ".join([word for word in words if len(word) >= SHORTEST_RUN])
    taken: list[tuple[int, int]] = []
    for kind in secret_patterns():
        marks = [mark for mark in kind.marks if not kind.is_run or mark.encode() in runs]
        for start, end in _around(text, folded, marks):
            # One byte a letter, so that places in the text are those in the bytes.
            for match in kind.pattern.finditer(text[start:end].decode("latin-1")):
                group = "value" if match.groupdict().get("value") else 0
                span = start + match.start(group), start + match.end(group)
                at = bisect.bisect(taken, span)
                overlaps = any(
                    a < span[1] and span[0] < b for a, b in taken[max(0, at - 1) : at + 1]
                )
                if not overlaps and not _is_placeholder(match[0], match[group]):
                    taken.insert(at, span)
                    yield span[0], Hit(line=0, what=kind.what, text=match[0], secret=match[group])


def _around(text: bytes, folded: bytes, marks: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield ranges with a mark in them, from their line to one behind it; no two overlap."""
    start = end = 0
    for place in sorted(at for mark in marks for at in _places(folded, mark.encode())):
        least = max(0, place - _BEFORE)
        first = max(least, text.rfind(b"\n", least, place) + 1)
        if first > end:
            if end:
                yield start, end
            start = first
        elif not end:
            start = first
        behind = text.find(b"\n", place, place + _BEHIND)
        end = max(end, place + _NEAR, behind if behind >= 0 else place + _BEHIND)
    if end:
        yield start, end


def _places(folded: bytes, mark: bytes) -> Iterator[int]:
    place = folded.find(mark)
    while place >= 0:
        yield place
        place = folded.find(mark, place + len(mark))


def _is_placeholder(text: str, secret: str) -> bool:
    said = _decoded(secret.encode("latin-1")) if secret != text else b""
    if _LOGIN.match(text) and b":" not in said:
        return True
    if _PRINTED.fullmatch(said):  # of a login, the password
        secret = said.decode("ascii").rpartition(":")[2]
    if len(set(secret if len(secret) < 20 else secret[4:])) < min(_FEWEST_LETTERS, len(secret) / 2):
        return True
    if _SAYS_SO.search(secret) or _in_a_row(secret) * 5 > len(secret) * 3:
        return True
    if secret == text or len(secret) > _LONGEST_PASSWORD:
        return secret.startswith(_OPENING)
    return bool(_NO_PASSWORD.search(secret) or _USER_AS_PASSWORD.fullmatch(text))


def _in_a_row(secret: str) -> int:
    """Return how many characters stand in rows such as ``12345`` and ``abcdef``."""
    count, run = 0, 1
    for one, other in itertools.pairwise([*secret, ""]):
        if other and ord(other) == ord(one) + 1:
            run += 1
            continue
        count += run if run >= 5 else 0
        run = 1
    return count
