"""Little pieces of HTML for notebooks. Every text is escaped here and nowhere else.

No script, no class names and no links: notebooks are shared and shown by sites that we do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Cell = str
_COLOURS = {"error": "#c62828", "warning": "#b26a00", "arrived": "#2e7d32"}


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table under a title."""
    columns = "".join(_cell("th", text, n) for n, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(_cell("td", text, n) for n, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f"<div><strong>{escape(title)}</strong></div>"
        f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
    )


def note(level: str, what: str, next: str | None) -> str:
    """Return a line about something, with what to do about it."""
    colour = _COLOURS.get(level, "inherit")
    more = f"<br><code>{escape(next)}</code>" if next else ""
    return f'<div><span style="color:{colour}">{escape(level)}</span> {escape(what)}{more}</div>'


def bar(fraction: float | None) -> str:
    """Return a bar that is filled to a fraction; empty when it is not known."""
    percent = 0.0 if fraction is None else 100 * min(1.0, max(0.0, fraction))
    return (
        '<div style="width:12em;height:.8em;border:1px solid #8888">'
        f'<div style="width:{percent:.0f}%;height:100%;background:#4a7fb5"></div></div>'
    )


def line(cells: Sequence[str], *, fraction: float | None = None) -> str:
    """Return a table row of texts with a bar behind the first."""
    first, *rest = cells
    return (
        f"<tr>{_cell('td', first, 0)}<td>{bar(fraction)}</td>"
        + "".join(_cell("td", text, 0) for text in rest)
        + "</tr>"
    )


def _cell(tag: str, text: str, column: int) -> str:
    align = "left" if column < 2 else "right"
    return f'<{tag} style="text-align:{align}">{escape(text)}</{tag}>'
