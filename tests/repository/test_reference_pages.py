"""The reference pages hold what the code says of itself, as text that is up to date."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("reference_pages")


def test_reference_pages_say_what_the_code_says(tool: ModuleType) -> None:
    names = [path.name for path in tool.stale()]
    assert names == [], "python tools/reference_pages.py"


def test_page_is_out_of_date_where_the_code_says_something_else(tool: ModuleType) -> None:
    text = (tool.PAGES / "specs.md").read_text("utf-8")
    older = text.replace("prove: str | None = None", "prove: str = ''")
    assert older != text
    assert tool.filled(older) == text


def test_every_class_that_authors_of_tests_import_is_described(tool: ModuleType) -> None:
    import uploader_kit

    page = (tool.PAGES / "testing.md").read_text("utf-8")
    assert [name for name in uploader_kit.__all__ if f"`{name}`" not in page] == []


SAMPLE = """\
Bring a thing.

It may be :class:`~package.module.Large` or ``small``.

Example::

    bring("it")

    bring("that")

Args:
    name: Of the thing; on
        two lines.

Returns:
    The thing.

Raises:
    KeyError: There is none.
"""


def test_docstring_is_read_as_markdown(tool: ModuleType) -> None:
    found = sys.modules["reference_docstrings"].read_docstring(SAMPLE)
    assert found.text == (
        "Bring a thing.",
        "It may be `Large` or `small`.",
        "Example:",
        '```python\nbring("it")\n\nbring("that")\n```',
    )
    assert found.lists == {
        "Arguments": [("name", "Of the thing; on two lines.")],
        "Returns": [("", "The thing.")],
        "Errors": [("KeyError", "There is none.")],
    }
