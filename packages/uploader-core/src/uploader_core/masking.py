"""Take known secrets out of what is shown and written, in the forms in which they get there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

INSTEAD = "[secret]"

SHORTEST = 8
"""Characters below which a value is taken for no secret: it would be found in ordinary words."""


class Mask:
    """Takes out some secrets, wherever they are in a text.

    Args:
        secrets: Their values. What is shorter than :data:`SHORTEST` is left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for value in secrets if len(value) >= SHORTEST for form in _forms(value)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(INSTEAD, text)


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
