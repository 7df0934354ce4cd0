"""Texts to calibrate and to measure with: the user's file, or the one that comes along. Light."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from uploader_core.plugin import RefusedError, from_home

BUILTIN = "builtin"
"""What an option says for the text that comes with this package."""

CALIBRATION = "calibration.txt"
HELD_OUT = "heldout.txt"
"""Another one than :data:`CALIBRATION`: what is measured must not have been seen."""

_FEWEST_BYTES = 1000
_HEAD = 1 << 20  # characters that are looked at before a run: a training set may be large
_LONGEST_WORD = 1 << 16  # letters; tokenizers take megabytes and seconds for a longer one
_LONGEST_LINE = 16 << 20
_WORD = re.compile(r"\S+|\s+")
_JSON_LINES = (".jsonl", ".json", ".ndjson")


def text_path(chosen: str, option: str, builtin: str) -> Path:
    """Return the text that was asked for.

    Args:
        chosen: A file, or :data:`BUILTIN`.
        option: That asked.
        builtin: :data:`CALIBRATION` or :data:`HELD_OUT`.

    Raises:
        RefusedError: There is no such file, or next to nothing in it, or it is no text.
    """
    if chosen == BUILTIN:
        return Path(str(resources.files(__package__).joinpath(builtin)))
    path = from_home(chosen)
    if not path.is_file() or path.stat().st_size < _FEWEST_BYTES:
        raise RefusedError(
            f"{path} is not a text of at least {_FEWEST_BYTES} bytes",
            owner=f"option {option}",
            safe="nothing was written",
            next=f"name a text like the model's task, or {BUILTIN}",
        )
    head = _read(path, _HEAD)
    if "\0" in head:
        raise _no_text(path, "it has bytes of zero")
    if not has_lines(path):
        check_words(path, head)
    return path


def has_lines(path: Path) -> bool:
    """Return whether each line of a text is a text of its own, in JSON."""
    return path.suffix.lower() in _JSON_LINES


def read_text(path: Path, characters: int = -1) -> str:
    """Return a text, or as many characters of its beginning.

    Raises:
        RefusedError: It is not in UTF-8, or has no words.
    """
    return check_words(path, _read(path, characters))


def check_words(path: Path, text: str) -> str:
    """Return a text of a file, if it is one of words that people write.

    Raises:
        RefusedError: A word of it, or a space, has more letters than any tokenizer should meet; or
            there is half a letter in it, which JSON can write and no tokenizer takes.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _no_text(path, str(error)) from error
    if any(word.end() - word.start() > _LONGEST_WORD for word in _WORD.finditer(text)):
        raise RefusedError(
            f"{path} has a word or a space of more than {_LONGEST_WORD:,} characters",
            owner=str(path),
            safe="nothing was written",
            next="take what is no text out of it, such as encoded files",
        )
    return text


def _read(path: Path, characters: int) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(characters)
    except UnicodeDecodeError as error:
        raise _no_text(path, str(error)) from error


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text; no more of it than is asked for is read.

    Raises:
        RefusedError: It is not in UTF-8, or a line is longer than any text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise _no_text(path, f"a line has {_LONGEST_LINE:,} characters and more")
                yield line
    except UnicodeDecodeError as error:
        raise _no_text(path, str(error)) from error


def _no_text(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"{path} is no text in UTF-8: {why}",
        owner=str(path),
        safe="nothing was written",
        next="save it as UTF-8: iconv -f ENCODING -t UTF-8 FILE > NEW, and name the new one",
    )
