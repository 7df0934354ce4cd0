"""A destination that takes certain targets of a scheme goes before one that takes all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import UploadSpec, hookimpl

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="u", scheme="dir", targets="{targets}",
                     run="{module}:send")
"""


@pytest.fixture
def clouds(install: Callable[..., None]) -> None:
    """Two plugins that serve ``dir:``, each with addresses of its own."""
    for name, targets in (("cloud", "(cloud|both)://.+"), ("other", "both://.+")):
        module = f"{name}_plugin"
        install(
            f"acme-{name}",
            {module: PLUGIN.format(targets=targets, module=module)},
            {"plugins": {name: module}, "schemes": {"dir": module}},
        )


def steps_of(result: Any) -> list[str]:
    return [s["id"] for s in json.loads(result.stdout)["steps"] if "@" in s["id"]]


@pytest.mark.usefixtures("clouds", "notes_plugin")
def test_who_names_the_target_takes_it(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    result = uploader(
        "plan", adapter, "--plugins", "acme.notes", "--to", "dir:cloud://b/x", "--to",
        f"dir:{tmp_path / 'x'}", "--json",
    )  # fmt: skip
    assert "cloud:send@cloud://b/x" in steps_of(result)
    assert f"dir:copy@{tmp_path / 'x'}" in steps_of(result)


@pytest.mark.usefixtures("clouds", "notes_plugin")
def test_two_that_name_it_are_a_question(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.notes", "--to", "dir:both://b/x")
    assert result.returncode == 2
    assert "dir:both://b/x is served by cloud and other" in result.stderr
    assert "--without other" in result.stderr
