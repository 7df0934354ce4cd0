"""The code of docs/how-to/check-and-estimate.md does what its text says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from uploader_core import plugin
from uploader_core.plugin import PlanContext, ReleaseInfo

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "check-and-estimate.md"


@dataclass(frozen=True)
class Settings:
    bits: int = 4


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Everything that the page's code defines."""
    _, *modules = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"Settings": Settings}
    for module in modules:
        exec(module, names)  # noqa: S102 - our own page
    return names


def test_check_refuses_and_estimate_counts(page: dict[str, Any], tmp_path: Path) -> None:
    page["test_three_bits_are_refused"]()
    context = PlanContext(
        inputs=(),
        settings=Settings(bits=4),
        release=ReleaseInfo(name="tiny", source="adapter"),
        output=tmp_path,
        sizes={"merged-16bit": 1600},
    )
    assert list(page["check"](context)) == []
    estimate = page["estimate"](context)
    assert estimate.bytes_written == 400
    assert estimate.files == (("tiny.onnx", 400),)


def test_errors_of_the_table_are_public_and_end_as_it_says() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| `(\w+Error)` \| (\d) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 9
    assert [getattr(plugin, name).exit_code for name, _ in rows] == [int(code) for _, code in rows]
