"""Ways to make a file of JSON hostile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_place import Damage, Place, edit, nested, raw

Where = Callable[[Place], Path]
DEEP = nested(100_000)
MANY_DIGITS = "9" * 4000


def put(where: Where, **changes: Any) -> Damage:
    return lambda place: edit(where(place), **changes)


def put_raw(where: Where, key: str, value: str) -> Damage:
    return lambda place: raw(where(place), key, value)


def write(where: Where, content: str | bytes | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> None:
        text = content(place) if callable(content) else content
        where(place).write_bytes(text if isinstance(text, bytes) else text.encode())

    return damage


def no_json(where: Where) -> dict[str, Damage]:
    """Return what any file of JSON can be."""
    return {
        "nested 100,000 deep": write(where, DEEP),
        "objects nested 100,000 deep": write(where, '{"a":' * 100_000 + "1" + "}" * 100_000),
        "a number of 5,000 digits alone": write(where, "9" * 5000),
        "a list": write(where, "[]"),
        "null": write(where, "null"),
        "empty": write(where, ""),
        "not UTF-8": write(where, b'{"a": "\xff\xfe"}'),
        "UTF-16": write(where, "{}".encode("utf-16")),
        "zero bytes": write(where, bytes(4096)),
        "500 MB that take no room": lambda place: grow(where(place), 500 << 20),
    }


def grow(path: Path, size: int) -> None:
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.truncate(size)
