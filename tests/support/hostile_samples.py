"""Hostile texts to calibrate and to measure with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hostile_place import Damage, Hostile, Place, cases, nested

LARGE = 32 << 20
Make = Callable[[Path], object]


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 20)


def _bytes(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def _text(content: str) -> Make:
    return lambda path: path.write_text(content, "utf-8")


def _lines(line: str) -> Make:
    return _text(f"{line}\n" * (1 + 2000 // len(line)))


PLAIN: dict[str, Make] = {
    "empty": _bytes(b""),
    "binary": _bytes(bytes(range(256)) * 64),
    "not UTF-8": _bytes(b"\xff\xfe\xfd" * 1000),
    "UTF-16": _bytes(("word " * 1000).encode("utf-16")),
    "100 MB that take no room": _sparse,
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "itself": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: path.symlink_to("nowhere"),
    "another process": lambda path: path.symlink_to("/proc/self/mem"),
    "a word of 32 MB": _text("x" * LARGE),
    "words of 100,000 letters": _text(("x" * 100_000 + " ") * 5),
    "a space of 32 MB": _text(" " * LARGE),
}
LINES: dict[str, Make] = {
    "nested 100,000 deep": _text(nested(100_000)),
    "objects nested 100,000 deep": _text('{"a":' * 100_000),
    "a line of 32 MB": _text('{"text": "' + "x" * LARGE + '"}'),
    "a line of 32 MB of spaces": _text(" " * LARGE + "{}"),
    "numbers": _lines("7"),
    "a number of 5,000 digits": _text("9" * 5000),
    "texts that are numbers": _lines('{"text": 7}'),
    "texts of half a letter": _lines('{"text": "\\ud800"}'),
    "messages that are a text": _lines('{"messages": "user: Hi"}'),
    "messages that are numbers": _lines('{"messages": [1, 2]}'),
    "messages without content": _lines('{"messages": [{"role": "user"}]}'),
    "messages of a stranger": _lines('{"messages": [{"role": "user", "content": {"a": [1]}}]}'),
    "a prompt of two sorts": _lines('{"prompt": "x", "completion": [1]}'),
    "the same name twice": _lines('{"text": "a", "text": "b"}'),
    "binary": _bytes(bytes(range(256)) * 64),
    "empty": _bytes(b""),
}
_TEXTS = {f"{what}.txt": make for what, make in PLAIN.items()}
_RECORDS = {f"{what}.jsonl": make for what, make in LINES.items()}
_NOT_MEASURED = (
    "nested 100,000 deep.jsonl",
    "a line of 32 MB.jsonl",
    "texts of half a letter.jsonl",
)
"""What is released is whole without its numbers; records are read when it is there."""
# llama.cpp's tokenizer takes a file of records as a text like others.
_ASKED: dict[str, tuple[dict[str, Make], tuple[str, ...]]] = {
    "gguf calibration": (_TEXTS, ("gguf", "--gguf-calibration")),
    "gguf measurement": (_TEXTS, ("gguf", "--measure", "--gguf-measure-text")),
    "calibration": (
        _TEXTS | _RECORDS,
        ("compressed", "--compressed-kinds", "w4a16-gptq", "--compressed-calibration"),
    ),
    "measurement": (
        {what: _RECORDS[what] for what in (*_NOT_MEASURED, "binary.jsonl", "empty.jsonl")},
        ("compressed", "--measure", "--compressed-measure-text"),
    ),
}


def _given(plugins: str, options: tuple[str, ...], name: str, make: Make) -> Damage:
    def damage(place: Place) -> list[object]:
        path = place.root / "outside" / f"text{Path(name).suffix}"
        make(path)
        return place.run(*options, path, plugins=plugins)

    return damage


SAMPLES: list[Hostile] = [
    case
    for sort, (files, (plugins, *options)) in _ASKED.items()
    for case in cases(
        f"text of a {sort}",
        {name: _given(plugins, (*options,), name, make) for name, make in files.items()},
        harmless=_NOT_MEASURED if sort == "measurement" else (),
    )
]
