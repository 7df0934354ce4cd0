"""Light functions of a plugin have a time, and a sentence for when it is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
import time
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_plugin:hangs", check={check}, estimate={estimate})

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="acme", run="acme_plugin:hangs", group={group})

def hangs(context):
    while True:
        pass

def sleeps(context):
    yield from ()
    time.sleep(3600)
"""


@pytest.mark.parametrize(
    ("function", "name"),
    [("check", "hangs"), ("check", "sleeps"), ("estimate", "hangs"), ("group", "hangs")],
)
def test_function_that_does_not_end(
    function: str, name: str, install: Callable[..., None], uploader: Any, adapter: Path
) -> None:
    functions = dict.fromkeys(("check", "estimate", "group"))
    functions[function] = f"acme_plugin:{name}"
    source = PLUGIN.replace("{check}", repr(functions["check"]))
    source = source.replace("{estimate}", repr(functions["estimate"]))
    install(
        "acme-slow",
        {"acme_plugin": source.replace("{group}", repr(functions["group"]))},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    uploader.environment["UPLOADER_CHECK_TIMEOUT"] = "2"  # sound ones have it, too
    result = uploader("run", adapter, "--plugins", "acme.x", "--to", "acme:x", "--yes", "--json")
    assert result.returncode == 8
    error = json.loads(result.stderr.splitlines()[-1])
    assert error["what"] == f"acme_plugin:{name} was not through after 2 s"
    assert error["owner"] == "acme-slow 1.0"
    assert "UPLOADER_CHECK_TIMEOUT" in error["next"]
