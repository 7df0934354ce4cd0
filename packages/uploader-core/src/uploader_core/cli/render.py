"""The console that everything is shown on."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from uploader_core.human_text import visible


def make_console(*, stderr: bool = False) -> Console:
    """Return the console; ``NO_COLOR`` and ``TERM=dumb`` are honoured by rich."""
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def show_field(console: Console, label: str, text: str, *, style: str = "dim") -> None:
    """Print a label with a text next to it.

    On a terminal the text stays in its column; elsewhere it is one line, for grep and for logs.
    """
    text = visible(text)
    label = f"  {label:<7} "  # a long one keeps its distance too
    if not console.is_terminal:
        console.print(f"[{style}]{label}[/]{escape(text)}", soft_wrap=True)
        return
    row = Table.grid()
    row.add_column(width=len(label))
    row.add_column(overflow="fold")
    row.add_row(Text(label, style=style), Text(text))
    console.print(row)
