"""HTML of a few elements; every text is escaped where it becomes markup, and nowhere else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_SAFE_LINK = re.compile(r"https?://[^\s\"'<>]+|(?!//)[\w./ -]+", re.ASCII)


class Markup(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape a text, unless it is markup already."""
    if isinstance(value, Markup):
        return value
    # Control characters are no text in HTML.
    plain = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in str(value))
    return Markup(html.escape(plain, quote=True))


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: Its name; a constant of the code.
        children: Texts and markup.
        attributes: By name; ``_`` stands for ``-`` and an end of ``_`` is left away (``class_``).
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{told}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Put parts behind one another."""
    return Markup("".join(text(part) for part in parts))


def link(address: str, label: object) -> Markup:
    """Return a link, or only its text where the address is none of a page or a file."""
    if not _SAFE_LINK.fullmatch(address):
        return text(label)
    return element("a", label, href=address, rel="noreferrer")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table; columns whose head begins with ``#`` hold numbers."""
    numeric = [head.startswith("#") for head in heads]
    look = ["number" if is_number else "" for is_number in numeric]
    head = join(
        element("th", head.lstrip("#"), class_=kind) for head, kind in zip(heads, look, strict=True)
    )
    body = join(
        element(
            "tr",
            join(element("td", cell, class_=k) for cell, k in zip(row, look, strict=True)),
        )
        for row in rows
    )
    inner = join((element("thead", element("tr", head)), element("tbody", body)))
    return element("div", element("table", inner), class_="scroll")


def section(heading: str, *children: object) -> Markup:
    """Return a section, or nothing when there is nothing in it."""
    inner = join(children)
    return element("section", element("h2", heading), inner) if inner else inner
