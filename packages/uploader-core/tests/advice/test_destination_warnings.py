"""What a destination declares that it cannot do is said before anything is sent there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import Capability, SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_plugin:save")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="acme", run="acme_plugin:save",
                     capabilities=({capabilities},))
"""


@pytest.mark.parametrize(
    ("capabilities", "level", "what"),
    [
        (
            "Capability(name='private', degree='none')",
            "warning",
            "what goes to acme: can be read by everybody who reaches it",
        ),
        (
            "Capability(name='private', degree='partial', note='names are seen')",
            "note",
            "acme: is only partly private: names are seen",
        ),
        (
            "Capability(name='atomic', degree='none')",
            "note",
            "while a release is sent to acme:, others see the part that is there",
        ),
        ("'private', 'of-its-own'", None, None),
        ("Capability(name='atomic', since='2.0')", None, None),
    ],
)
def test_plan(
    capabilities: str,
    level: str | None,
    what: str | None,
    install: Callable[..., None],
    uploader: Any,
    adapter: Path,
) -> None:
    install(
        "acme-send",
        {"acme_plugin": PLUGIN.format(capabilities=capabilities)},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    result = uploader("plan", adapter, "--plugins", "acme.x", "--to", "acme:x", "--json")
    found = [f for f in json.loads(result.stdout)["findings"] if "acme:" in f["what"]]
    assert [(f["level"], f["what"]) for f in found] == ([(level, what)] if what else [])


def test_plugin_is_shown_with_what_it_can(install: Callable[..., None], uploader: Any) -> None:
    capabilities = "'private', Capability(name='resume', degree='partial', since='2.0')"
    install(
        "acme-send",
        {"acme_plugin": PLUGIN.format(capabilities=capabilities)},
        {"plugins": {"acme": "acme_plugin"}, "schemes": {"acme": "acme_plugin"}},
    )
    said = uploader("plugins", "info", "acme").stdout
    assert "--to acme:...  (private, resume (partly, since 2.0))" in said


def test_format_that_a_destination_does_not_take_is_named(
    install: Callable[..., None], uploader: Any, adapter: Path
) -> None:
    more = """
    yield SaveSpec(name="y", summary="y", consumes=("adapter",), produces="acme.y",
                   run="acme_plugin:save")
"""
    source = PLUGIN.format(capabilities="")
    source = source.replace('run="acme_plugin:save")\n', 'run="acme_plugin:save")\n' + more, 1)
    source = source.replace('scheme="acme"', 'scheme="acme", accepts=("acme.x",)')
    source = source.replace("capabilities=(,)", "capabilities=()")
    install(
        "acme-send",
        {"acme_plugin": source},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin", "acme.y": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )

    result = uploader("plan", adapter, "--plugins", "acme.x,acme.y", "--to", "acme:x", "--json")

    assert {
        "level": "warning",
        "what": "acme.y does not go to acme:x, which takes acme.x",
    }.items() <= next(
        f for f in json.loads(result.stdout)["findings"] if "acme.y" in f["what"]
    ).items()
