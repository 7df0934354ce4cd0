"""Named destinations of ``uploader.toml``, with settings and credentials of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from uploader_core.plugin import (AuthError, Finding, Problem, SaveSpec, UploadSpec, Verification,
                                  hookimpl, setting)

@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    depth: int = setting(1, help="how deep")

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_plugin:save")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="send", scheme="acme", run="acme_plugin:send",
                     check="acme_plugin:check", verify="acme_plugin:verify", settings=Settings,
                     secrets=("ACME_PASS",))

def save(context):
    context.output.write("a.bin", b"abc", role="weights")
    return context.artifact()

def send(context):
    return context.receipt(url="acme://x", files=len(context.files), bytes_sent=1,
                           metadata=told(context))

def check(context):
    if "ACME_PASS" not in context.secrets:
        raise AuthError("no password", next="set ACME_PASS")
    yield Finding(level="note", what=str(sorted(told(context).items())))

def verify(context):
    return Verification(files=1, size=1, problems=(), where=str(sorted(told(context).items())))

def told(context):
    return {"target": context.target, "depth": context.settings.depth,
            "initial": context.secrets.get("ACME_PASS", "-")[0]}
"""

TOML = """
[targets.lab]
to = "acme:lab.example/models"
settings = { depth = 7 }
secrets = { ACME_PASS = "LAB_PASSWORD" }

[targets.home]
to = "acme:home.example/"

[targets.odd]
too = "acme:x"
"""


@pytest.fixture(autouse=True)
def acme(install: Callable[..., None], uploader: Any) -> None:
    install(
        "acme-send",
        {"acme_plugin": PLUGIN},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    (uploader.cwd / "uploader.toml").write_text(TOML, "utf-8")
    uploader.environment |= {"ACME_PASS": "general-password", "LAB_PASSWORD": "lab-password"}


def run(uploader: Any, adapter: Path, *options: object) -> Any:
    return uploader("run", adapter, "--plugins", "acme.x", "--yes", "--json", *options)


def test_two_targets_of_one_plugin_have_settings_and_secrets_of_their_own(
    uploader: Any, adapter: Path
) -> None:
    result = run(uploader, adapter, "--to", "@lab:tiny", "--to", "@home:tiny")
    assert result.returncode == 0, result.stderr
    steps = json.loads(result.stdout)["steps"]
    told = [step["receipt"]["metadata"] for step in steps if step["id"].startswith("acme:send")]
    assert told == [
        {"target": "lab.example/models/tiny", "depth": 7, "initial": "l"},
        {"target": "home.example/tiny", "depth": 1, "initial": "g"},
    ]
    assert (adapter.parent / "tiny").is_dir()  # the release's name is that of the target


def test_an_option_counts_before_the_target(uploader: Any, adapter: Path) -> None:
    result = run(uploader, adapter, "--to", "@lab:tiny", "--acme-depth", "9")
    assert result.returncode == 0, result.stderr
    steps = json.loads(result.stdout)["steps"]
    assert [s["receipt"]["metadata"]["depth"] for s in steps if "send" in s["id"]] == [9]


def test_secret_that_a_target_names_and_nobody_set(uploader: Any, adapter: Path) -> None:
    """The general one is not sent to a place that it is not for, and the advice is for this one."""
    del uploader.environment["LAB_PASSWORD"]
    result = run(uploader, adapter, "--to", "@lab:tiny")
    error = json.loads(result.stderr.splitlines()[-1])
    assert (error["code"], error["next"]) == (6, "set LAB_PASSWORD")


def test_verify_and_doctor_know_the_target(uploader: Any) -> None:
    said = uploader("verify", "@lab")
    assert "('depth', 7), ('initial', 'l')" in said.stdout
    said = uploader("doctor", "--to", "@lab")
    assert said.returncode == 0, said.stderr
    assert "acme:lab.example/models, served by acme-send 1.0" in said.stdout
    assert "LAB_PASSWORD is set" in said.stdout
    assert "('depth', 7), ('initial', 'l')" in said.stdout


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("@lob", "there is no target 'lob' in uploader.toml"),
        ("@odd", "[targets.odd] of uploader.toml is no target"),
    ],
)
def test_target_that_is_none(target: str, sentence: str, uploader: Any, adapter: Path) -> None:
    result = run(uploader, adapter, "--to", target)
    assert result.returncode == 2
    assert sentence in json.loads(result.stderr.splitlines()[-1])["what"]
