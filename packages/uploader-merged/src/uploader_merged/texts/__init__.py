"""Texts to calibrate and to measure with: the user's file, or the one that comes along. Light."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from uploader_core.plugin import RefusedError

BUILTIN = "builtin"
"""What an option says for the text that comes with this package."""

CALIBRATION = "calibration.txt"
HELD_OUT = "heldout.txt"
"""Another one than :data:`CALIBRATION`: what is measured must not have been seen."""

_FEWEST_BYTES = 1000
_HEAD = 1 << 20  # characters that are looked at before a run: a training set may be large
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
    path = Path(chosen).expanduser()
    if not path.is_file() or path.stat().st_size < _FEWEST_BYTES:
        raise RefusedError(
            f"{path} is not a text of at least {_FEWEST_BYTES} bytes",
            owner=f"option {option}",
            safe="nothing was written",
            next=f"name a text like the model's task, or {BUILTIN}",
        )
    if "\0" in read_text(path, _HEAD):
        raise _no_text(path, "it has bytes of zero")
    return path


def has_lines(path: Path) -> bool:
    """Return whether each line of a text is a text of its own, in JSON."""
    return path.suffix.lower() in _JSON_LINES


def read_text(path: Path, characters: int = -1) -> str:
    """Return a text, or as many characters of its beginning.

    Raises:
        RefusedError: It is not in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(characters)
    except UnicodeDecodeError as error:
        raise _no_text(path, str(error)) from error


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text; no more of it than is asked for is read.

    Raises:
        RefusedError: It is not in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise _no_text(path, str(error)) from error


def _no_text(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"{path} is no text in UTF-8: {why}",
        owner=str(path),
        safe="nothing was written",
        next="save it as UTF-8: iconv -f ENCODING -t UTF-8 FILE > NEW, and name the new one",
    )
