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
    yield UploadSpec(name="send", summary="u", scheme="box", targets={targets!r},
                     run="{module}:send")
"""


@pytest.fixture
def clouds(install: Callable[..., None]) -> None:
    """Three plugins that serve ``box:``, two of them certain targets of it."""
    for name, targets in (("all", None), ("cloud", "(cloud|both)://.+"), ("other", "both://.+")):
        module = f"{name}_plugin"
        install(
            f"acme-{name}",
            {module: PLUGIN.format(targets=targets, module=module)},
            {"plugins": {name: module}, "schemes": {"box": module}},
        )


def steps_of(result: Any) -> list[str]:
    return [s["id"] for s in json.loads(result.stdout)["steps"] if "@" in s["id"]]


@pytest.mark.usefixtures("clouds", "notes_plugin")
def test_who_names_the_target_takes_it(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.notes", "--to", "box:cloud://b/x",
                      "--to", "box:y", "--json")  # fmt: skip
    assert {*steps_of(result)} >= {"cloud:send@cloud://b/x", "all:send@y"}


@pytest.mark.usefixtures("clouds", "notes_plugin")
def test_two_that_name_it_are_a_question(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.notes", "--to", "box:both://b/x")
    assert result.returncode == 2
    assert "box:both://b/x is served by cloud and other" in result.stderr
    assert "--without other" in result.stderr


@pytest.mark.usefixtures("notes_plugin")
def test_address_without_a_scheme_of_ours_is_one_of_dir(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.notes", "--to", "rsync://b/x")
    assert "dir:rsync://b/x" in result.stderr
