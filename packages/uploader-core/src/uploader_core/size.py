"""A number of bytes, as people type it."""

from __future__ import annotations

import re

_UNITS = {"": 1} | {letter: 1000**n for n, letter in enumerate("KMGT", 1)}
_UNITS |= {f"{letter}I": 1024**n for n, letter in enumerate("KMGT", 1)}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", re.I)


class Size(int):
    """A number of bytes: ``5GB`` (decimal), ``500MiB`` (binary), or a bare number.

    Args:
        value: Text of that form, or a number.

    Raises:
        ValueError: Text of another form.
    """

    def __new__(cls, value: str | int) -> Size:
        if not isinstance(value, str):
            return super().__new__(cls, value)
        match = _FORM.fullmatch(value.strip())
        if match is None or match[2].upper() not in _UNITS:
            raise ValueError(f"{value!r} is no size")
        return super().__new__(cls, int(float(match[1]) * _UNITS[match[2].upper()]))

    def __str__(self) -> str:
        """The number with the largest unit that leaves it whole."""
        for unit, size in sorted(_UNITS.items(), key=lambda item: -item[1]):
            if unit and int(self) >= size and int(self) % size == 0:
                return f"{int(self) // size}{unit.replace('I', 'i')}B"
        return int.__repr__(self)
