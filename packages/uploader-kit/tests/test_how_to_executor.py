"""The executor of the page about writing one holds what the kit asks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kit_plugins import failed_checks, told
from uploader_kit import ExecutorConformance

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(os.name == "nt", reason="the page's executor starts jobs with sh"),
]
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "executor.md"


@pytest.fixture
def case(install: Callable[..., None]) -> type[ExecutorConformance]:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    modules = dict(zip(("uploader_shed.plugin", "uploader_shed.executor"), blocks, strict=False))
    points = {"shed": "uploader_shed.plugin"}
    install(
        "uploader-shed",
        {"uploader_shed.__init__": "", **modules},
        {"plugins": points, "executors": points},
        requires="uploader-core>=0.1,<1",
    )
    return type("X", (ExecutorConformance,), {"plugin": "shed"})


@pytest.mark.parametrize(
    "check",
    [
        "job that succeeds gives its files",
        "command that fails is told",
        "last lines of a job can be read",
        "job that takes too long is ended",
    ],
)
def test_executor_of_the_page(case: type[ExecutorConformance], check: str) -> None:
    assert told(case, check) == ""


@pytest.mark.slow
def test_executor_of_the_page_holds_every_rule(case: type[ExecutorConformance]) -> None:
    assert failed_checks(case) == []
