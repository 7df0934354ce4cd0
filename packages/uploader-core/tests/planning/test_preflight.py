"""Light functions of a plugin, called while a plan is made: what is wrong with them is theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import Finding, SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_light:save", check="acme_light:check", estimate="acme_light:estimate")

def check(context):
    {check}

def estimate(context):
    {estimate}
"""
SOUND = "from uploader_core.plugin import Estimate; return Estimate()"


@pytest.mark.parametrize(
    ("check", "estimate", "words"),
    [
        ("return ['words']", SOUND, "acme_light:check gave something else than findings"),
        ("yield None", SOUND, "acme_light:check gave something else than findings"),
        ("return ()", "return 17", "acme_light:estimate did not return an Estimate"),
    ],
)
def test_plugin_is_named(
    check: str,
    estimate: str,
    words: str,
    install: Callable[..., None],
    uploader: Any,
    adapter: Path,
) -> None:
    install(
        "acme-light",
        {"acme_light": PLUGIN.format(check=check, estimate=estimate)},
        {"plugins": {"acme-light": "acme_light"}, "artifacts": {"acme.x": "acme_light"}},
    )
    result = uploader("plan", adapter, "--plugins", "acme-light")
    assert result.returncode == 8
    assert words in result.stderr
    assert "acme-light 1.0" in result.stderr
