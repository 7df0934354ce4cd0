"""Take known secrets out of what is shown and written, in the forms in which they get there.

The run masks the secrets that it gave a worker. What a worker is given by a server, such as a token
for an identity, only that worker knows: it calls :func:`keep_secret`, and masks itself.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus

INSTEAD = "[secret]"

SHORTEST = 8
"""Characters below which a value is taken for no secret: it would be found in ordinary words."""

# A key in PEM; what a worker prints is masked line by line.
_LINE = re.compile(r"^[A-Za-z0-9+/]{16,}={0,2}\s*$", re.MULTILINE)


class Mask:
    """Takes out some secrets, wherever they are in a text.

    Args:
        secrets: Their values. What is shorter than :data:`SHORTEST` is left alone. Of one of
            several lines each line of base64 is a secret as well.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [value for value in secrets if len(value) >= SHORTEST]
        forms = {form for value in known for form in _forms(value)}
        forms |= {line.strip() for value in known for line in _LINE.findall(value)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(INSTEAD, text)


_kept: set[str] = set()
_mask = Mask(())
_guard = threading.Lock()


def keep_secret(value: str) -> None:
    """Have a secret masked in all that this worker reports or prints from now on.

    Args:
        value: What a server gave it: a token for an identity, a password for an hour.
    """
    global _mask
    with _guard:
        if value not in _kept:
            _kept.add(value)
            _mask = Mask(_kept)


def kept_secrets(text: str) -> str:
    """Return a text without what :func:`keep_secret` was told."""
    return _mask(text)


def masked_stream(stream: TextIO) -> TextIO:
    """Return a stream to print to without the secrets of :func:`keep_secret`.

    Args:
        stream: Where it ends up. A secret in a text has to be whole.
    """
    return cast("TextIO", _Masked(stream))


class _Masked:
    """All that a text stream is, but for what is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(kept_secrets(text))

    def writelines(self, lines: Iterable[str]) -> None:
        self._stream.writelines(map(kept_secrets, lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _forms(value: str) -> Iterator[str]:
    """Yield how a secret may be written: plain, in JSON, in an address, in a header."""
    yield from {value, json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value)}
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    data = value.encode("utf-8")
    for before in range(3):  # base64 of a longer text, such as "user:secret", at any offset
        # Characters that also depend on what stands before or behind are left out.
        first = (0, 2, 3)[before]
        length = (before + len(data)) // 3 * 4
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + data).decode("ascii")[first:length]
