"""Which part of a destination is the name of the release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_plugin:save")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="plain", run="acme_plugin:send")
    yield UploadSpec(name="v", summary="v", scheme="acme", run="acme_plugin:send",
                     release_name="acme_plugin:name_of")

def name_of(target):
    return target.split("/")[0]

def save(context):
    context.output.write("a.bin", b"abc", role="weights")
    return context.artifact()

def send(context):
    return context.receipt(url="acme://x", files=len(context.files), bytes_sent=1)
"""


@pytest.fixture(autouse=True)
def acme(install: Callable[..., None]) -> None:
    install(
        "acme-name",
        {"acme_plugin": PLUGIN},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin", "plain": "acme_plugin"},
        },
    )


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("plain:127.0.0.1:5055/me/demo:v1", "demo"),
        ("plain:host/me/demo@sha256:0123", "demo"),
        ("plain:bucket/demo?region=x", "demo"),
        ("acme:demo/versions/7", "demo"),
    ],
)
def test_name(target: str, name: str, uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.x", "--to", target, "--json")
    assert json.loads(result.stdout)["release"]["name"] == name


def test_another_tag_makes_nothing_again(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    statuses = {}
    for tag in ("v1", "v2"):
        target = f"plain:host/me/demo:{tag}"
        result = uploader("run", adapter, "--plugins", "acme.x", "--to", target,
                          "--output", tmp_path / "out", "--yes", "--json")  # fmt: skip
        statuses = {s["id"]: s["status"] for s in json.loads(result.stdout)["steps"]}
    assert statuses["acme:x"] == "kept"
    assert statuses["acme:u@host/me/demo:v2"] == "done"
