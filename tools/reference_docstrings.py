"""Docstrings in Google's style, as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADINGS = {
    "Args:": "Arguments",
    "Attributes:": "Attributes",
    "Returns:": "Returns",
    "Yields:": "Yields",
    "Raises:": "Errors",
}
_UNNAMED = ("Returns", "Yields")
_ROLE = re.compile(r":\w+:`~?([\w. ]+)(?: <[\w.]+>)?`")
_ENTRY = re.compile(r"([\w*]+(?:, [\w*]+)*): (.*)", re.DOTALL)
_WIDTH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Docstring:
    """What a docstring says.

    Attributes:
        text: Paragraphs and blocks of code, as Markdown.
        lists: By heading, pairs of name ("" for a result) and text.
    """

    text: tuple[str, ...]
    lists: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def read_docstring(text: str) -> Docstring:
    """Read a docstring.

    Args:
        text: With the indent of its first line, as :func:`inspect.getdoc` returns it.
    """
    paragraphs: list[str] = []
    lists: dict[str, list[tuple[str, str]]] = {}
    is_code = False
    for block in _blocks(text):
        head, _, rest = block.partition("\n")
        if is_code and block.startswith(" "):
            paragraphs.append(f"```python\n{textwrap.dedent(block)}\n```")
        elif head in _HEADINGS:
            heading = _HEADINGS[head]
            lists[heading] = [*_entries(textwrap.dedent(rest), named=heading not in _UNNAMED)]
        else:
            plain = block.removesuffix("::").rstrip()
            ends = ":" if block.endswith("::") and plain else ""
            if plain:
                paragraphs.append(wrapped(markdown(plain) + ends, ""))
        is_code = block.endswith("::") or (is_code and block.startswith(" "))
    return Docstring(text=tuple(_joined(paragraphs)), lists=lists)


def _blocks(text: str) -> Iterator[str]:
    """Yield what blank lines divide; the entries of a list stay together."""
    kept = ""
    for block in re.split(r"\n\s*\n", text):
        if kept and block.startswith(" "):
            kept += "\n\n" + block
            continue
        if kept:
            yield kept
            kept = ""
        if block.partition("\n")[0] in _HEADINGS:
            kept = block
        else:
            yield block
    if kept:
        yield kept


def _joined(paragraphs: list[str]) -> Iterator[str]:
    """Yield paragraphs; two blocks of code behind one another are one."""
    last = ""
    for paragraph in paragraphs:
        if last.startswith("```") and paragraph.startswith("```"):
            last = last.removesuffix("```") + "\n" + paragraph.removeprefix("```python\n")
            continue
        if last:
            yield last
        last = paragraph
    if last:
        yield last


def _entries(text: str, *, named: bool) -> Iterator[tuple[str, str]]:
    """Yield name and text of the entries of a list; what is indented goes on with one."""
    if not named:
        yield "", markdown(" ".join(text.split()))
        return
    for entry in re.split(r"\n(?=\S)", text):
        found = _ENTRY.fullmatch(entry.strip())
        name, rest = (found[1], found[2]) if found else ("", entry)
        yield name, markdown(" ".join(rest.split()))


def markdown(text: str) -> str:
    """Return a text with the roles and the literals of reStructuredText as code."""
    plain = _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text)
    return plain.replace("``", "`")


def wrapped(text: str, indent: str) -> str:
    """Return a paragraph, or an item of a list, in lines that can be read as they are."""
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
