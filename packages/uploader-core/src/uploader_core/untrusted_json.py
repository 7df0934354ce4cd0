"""JSON that somebody else wrote: another process, an earlier run, a person."""

from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")

_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
}


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: It is no JSON, or nested deeper than anything that people write. Python itself
            raises RecursionError then, which nobody who reads a file expects.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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
