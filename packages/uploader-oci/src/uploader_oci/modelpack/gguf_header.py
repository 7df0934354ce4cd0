"""The general facts at the beginning of a GGUF file.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: magic, version, number of tensors,
number of pairs, then the pairs. Writers put ``general.*`` first; reading ends at the first other.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_TEXT, _ARRAY = 8, 9
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_LONGEST = 1 << 20


def read_general(path: Path) -> dict[str, str]:
    """Return the texts among the ``general.*`` keys; what can be read of a file that is damaged."""
    found: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version < 2:
                return {}
            for _ in range(min(count, 1000)):
                key = _text(file)
                if not key.startswith("general."):
                    break
                (kind,) = struct.unpack("<I", file.read(4))
                value = _value(file, kind)
                if value is not None:
                    found[key] = value
    except (OSError, ValueError, struct.error):
        pass
    return found


def _value(file: BinaryIO, kind: int) -> str | None:
    if kind == _TEXT:
        return _text(file)
    if kind in _NUMBERS:
        file.read(struct.calcsize(_NUMBERS[kind]))
        return None
    if kind != _ARRAY:
        raise ValueError(kind)
    inner, count = struct.unpack("<IQ", file.read(12))
    if count > _LONGEST:
        raise ValueError(count)
    for _ in range(count):
        _value(file, inner)
    return None


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST:
        raise ValueError(length)
    return file.read(length).decode("utf-8", "replace")
