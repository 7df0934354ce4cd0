"""JSON that somebody else wrote: another process, an earlier run, a person; and ours for them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from uploader_core.garbage import uncollected

T = TypeVar("T")

_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
}


def parse_json(text: str | bytes, *, strict: bool = False) -> Any:
    """Return what a JSON text says.

    Args:
        text: In UTF-8, when it is bytes.
        strict: Refuse also what Python takes and the standard does not: a name that stands twice
            in one object, ``NaN`` and ``Infinity``.

    Raises:
        ValueError: It is no JSON, or nested deeper than anything that people write. Python itself
            raises RecursionError then, which nobody who reads a file expects.
    """
    more: dict[str, Any] = {"object_pairs_hook": _unique, "parse_constant": _no_number}
    try:
        with uncollected():
            return json.loads(text, **(more if strict else {}))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


LARGEST = 8 << 20
"""Bytes of a text that a person or a program wrote for another one; lists of tokens are larger."""


LARGEST_STATE = 16 << 20
"""Bytes of a trainer's log, with all its steps."""


def read_text(path: Path, *, most: int = LARGEST, errors: str = "strict") -> str:
    """Return the text of a file that somebody else wrote.

    Args:
        path: Of a file; what never ends, such as a pipe or a device, is none.
        most: Bytes; what is larger is not read at all.
        errors: What becomes of bytes that are not UTF-8, as for :meth:`bytes.decode`.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no file, larger than ``most``, or not UTF-8.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content.decode("utf-8", errors)


def read_json(path: Path, *, most: int = LARGEST) -> Any:
    """Return what a file of JSON says that somebody else wrote.

    Args:
        path: As for :func:`read_text`.
        most: As for :func:`read_text`.

    Raises:
        OSError: It cannot be read.
        ValueError: As for :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path, most=most))


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a file that is no larger than :data:`LARGEST_STATE`.

    What cannot be read, or is no object, says nothing: it is empty.
    """
    try:
        data = read_json(path, most=LARGEST_STATE)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} stands there twice")
    return table


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def expect(value: object, kind: type[T], what: str = "it") -> T:
    """Return a value of parsed JSON when it is of a type.

    Args:
        value: Of unknown type.
        kind: ``dict``, ``list``, ``str``, ``int`` or ``float``, which takes whole numbers too.
        what: How the value is called, for the message.

    Raises:
        ValueError: It is of another type. ``True`` and ``False`` are no numbers.
    """
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        name = _NAMES.get(kind, kind.__name__)
        raise ValueError(f"{what} is {json.dumps(value, default=str)[:60]}, expected {name}")
    return value  # type: ignore[return-value]


def member(data: object, name: str, kind: type[T]) -> T:
    """Return a member of a JSON object when it is of a type; see :func:`expect`.

    Raises:
        ValueError: ``data`` is no object, has no such member, or it is of another type.
    """
    found = expect(data, dict)
    if name not in found:
        raise ValueError(f"it has no {name!r}")
    return expect(found[name], kind, repr(name))


def as_json(value: object) -> dict[str, Any]:
    """Return a dataclass, and everything in it, as what :mod:`json` reads: tuples become lists.

    Raises:
        TypeError: Something in it has no form in JSON.
    """
    # Imported here, as in read_as: --help and an import of a plugin do without it.
    import msgspec

    plain: dict[str, Any] = _with_lists(msgspec.to_builtins(value, enc_hook=_plain))
    return plain


def read_as(kind: type[T], data: object) -> T:
    """Return parsed JSON as an object of a type, a dataclass for instance.

    Args:
        kind: The type. Members that it does not know are left out.
        data: Parsed JSON.

    Raises:
        ValueError: It is of another form; says what and where.
    """
    import msgspec

    return msgspec.convert(data, kind, dec_hook=_from_plain)


class JsonData:
    """Base of dataclasses that are written as JSON and read again."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return as_json(self)

    @classmethod
    def from_json(cls: type[T], data: object) -> T:
        """Read what :meth:`to_json` returned.

        Raises:
            ValueError: It was not written by :meth:`to_json`.
        """
        return read_as(cls, data)


def _with_lists(value: Any) -> Any:
    # Who walks JSON, as the manifest does to leave out local paths, looks for lists alone.
    if isinstance(value, dict):
        return {name: _with_lists(part) for name, part in value.items()}
    return [_with_lists(part) for part in value] if isinstance(value, (list, tuple)) else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    for base in (str, int, float):  # subclasses of them, such as numpy.float64
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"{value!r} has no form in JSON")


def _from_plain(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"{json.dumps(value)[:60]} is no {kind.__name__}")
