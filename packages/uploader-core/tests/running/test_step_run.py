"""What a step gets to see, and how steps stand beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAIR = """
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    for name in ("bad", "good"):
        yield SaveSpec(name=name, summary=name, consumes=("adapter",), produces=f"acme.{name}",
                       run=f"pair_work:{name}")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="drop", summary="drop", scheme="drop", run="pair_work:drop",
                     secrets=("ACME_TOKEN",))
"""

PAIR_WORK = """
import os, sys

def bad(context):
    raise RuntimeError("as told")

def good(context):
    print("library noise on standard output")
    secrets = [n for n in os.environ if n in ("HF_TOKEN", "ACME_TOKEN")]
    context.output.write("seen.txt", ",".join(secrets))
    return context.artifact()

def drop(context):
    return context.receipt(url="drop://x", files=len(context.files), bytes_sent=0,
                           metadata={"token": context.secrets.get("ACME_TOKEN") == "canary-77"})
"""


@pytest.fixture
def pair(install: Callable[..., None]) -> None:
    install(
        "acme-pair",
        {"pair_plugin": PAIR, "pair_work": PAIR_WORK},
        {
            "plugins": {"pair": "pair_plugin"},
            "artifacts": {"acme.bad": "pair_plugin", "acme.good": "pair_plugin"},
            "schemes": {"drop": "pair_plugin"},
        },
    )


def statuses(result: Any) -> dict[str, str]:
    return {s["id"]: s["status"] for s in json.loads(result.stdout)["steps"]}


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_sibling_of_a_failed_step_finishes(uploader: Any, adapter: Path, jobs: str) -> None:
    result = uploader("run", adapter, "--plugins", "pair", "--name", "m", "--json", "--jobs", jobs)
    assert result.returncode == 3
    assert statuses(result)["pair:good"] == "done"
    assert "as told" in result.stderr


@pytest.mark.usefixtures("pair")
def test_fail_fast_starts_nothing_new(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "pair", "--json", "--fail-fast")
    assert result.returncode == 8
    assert statuses(result)["pair:good"] == "skipped"


@pytest.mark.usefixtures("pair")
def test_only_the_upload_sees_the_token_that_it_named(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ACME_TOKEN=canary-77\nHF_TOKEN=hf_canary\n")
    result = uploader(
        "run", adapter, "--plugins", "acme.good", "--to", "drop:x", "--name", "m", "--json"
    )
    assert result.returncode == 0, result.stderr
    release = adapter.parent / "m"
    assert (release / "acme.good" / "seen.txt").read_text() == ""
    receipts = [s["receipt"] for s in json.loads(result.stdout)["steps"] if s["receipt"]]
    assert receipts[0]["metadata"] == {"token": True}
    for path in release.rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path


@pytest.mark.usefixtures("pair")
def test_failed_upload_keeps_the_artifact(uploader: Any, adapter: Path) -> None:
    arguments = ("run", adapter, "--plugins", "pair", "--to", "drop:x", "--name", "m", "--json")
    result = uploader(*arguments)
    assert statuses(result)["pair:drop@x"] == "skipped"
    assert (adapter.parent / "m" / "acme.good" / "seen.txt").is_file()
    assert statuses(uploader(*arguments))["pair:good"] == "kept"


@pytest.mark.usefixtures("pair")
def test_what_a_library_prints_goes_to_the_log(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme.good", "--name", "m", "--json")
    json.loads(result.stdout)
    (log,) = (adapter.parent / "m" / ".uploader" / "logs").glob("pair-good.log")
    assert "library noise" in log.read_text()


SECTION = """
from uploader_core.plugin import DocumentSpec, SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    for name in ("one", "two"):
        yield SaveSpec(name=name, summary=name, consumes=("adapter",), produces=f"acme.{name}",
                       run="section_work:save")

@hookimpl
def uploader_documenters():
    for name in ("works", "fails"):
        yield DocumentSpec(name=name, summary="s", section=f"How it {name}",
                           describes=("acme.two",), run=f"section_work:{name}")
"""

SECTION_WORK = """
def save(context):
    context.output.write("a.txt", "a")
    return context.artifact()

def works(context):
    return "See [the file](a.txt)."

def fails(context):
    raise RuntimeError("no words")
"""


def test_sections_stand_under_their_format_and_a_failing_one_is_left_out(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    install(
        "acme-section",
        {"section_plugin": SECTION, "section_work": SECTION_WORK},
        {"plugins": {"section": "section_plugin"}},
    )
    result = uploader("run", adapter, "--plugins", "section", "--name", "m")
    assert result.returncode == 0, result.stderr
    text = (adapter.parent / "m" / "README.md").read_text()
    assert "## acme.two\n\n### How it works\n\nSee [the file](acme.two/a.txt)." in text
    assert "How it fails" not in text
    assert "How it fails" in result.stdout
