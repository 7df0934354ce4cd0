"""Texts of others in Markdown: shown as they are, and nothing more."""

from __future__ import annotations

import html
import re


def plain(text: str) -> str:
    """Return a text that renders as itself, on one line, also in a table."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#~!$])", r"\\\1", text)


def code(text: str) -> str:
    """Return a text as inline code, also in a table."""
    text = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"
