"""Labels with texts next to them, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from uploader_core.cli.render import show_field


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("label", ["disk", "left out"])
def test_label_stands_apart_from_its_text(label: str, is_terminal: bool) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal, no_color=True, width=60)
    show_field(console, label, "notes: [no model]", style="none")
    assert written.getvalue().rstrip() == f"  {label:<7} notes: [no model]"
