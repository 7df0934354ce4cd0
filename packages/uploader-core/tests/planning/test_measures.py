"""A document that measures is made when asked for, and told to all others of its artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import DocumentSpec, SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="made", summary="made", consumes=("adapter",), produces="acme.made",
                   run="rule_work:make")

@hookimpl
def uploader_documenters():
    yield DocumentSpec(name="length", summary="length", output="length.json", measures=True,
                       describes=("acme.made",), consumes=("adapter",), run="rule_work:measure")
    yield DocumentSpec(name="sheet", summary="sheet", output="SHEET.md",
                       describes=("acme.made",), run="rule_work:sheet")
    yield DocumentSpec(name="told", summary="told", section="Length", describes=("acme.made",),
                       run="rule_work:told")
"""

WORK = """
import json

def make(context):
    context.output.write("made.txt", "12345")
    return context.artifact()

def measure(context):
    source = context.input("adapter").path
    length = len((context.input("acme.made").file("made.txt")).read_text())
    context.output.write("length.json", json.dumps({"length": length}))
    assert (source / "adapter_config.json").is_file()
    return context.artifact({"length": length})

def sheet(context):
    said = [[m.metadata["length"], [f.name for f in m.files]] for m in context.measurements]
    context.output.write("SHEET.md", json.dumps(said))
    return context.artifact()

def told(context):
    return "".join(f"[{m.metadata['length']}](length.json)" for m in context.measurements)
"""


@pytest.fixture(autouse=True)
def rule(install: Callable[..., None]) -> None:
    install(
        "acme-rule",
        {"rule_plugin": PLUGIN, "rule_work": WORK},
        {"plugins": {"rule": "rule_plugin"}, "artifacts": {"acme.made": "rule_plugin"}},
    )


def test_measured_before_all_other_documents(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    result = uploader(
        "run", adapter, "--plugins", "rule", "--measure", "--output", release, "--to", f"dir:{copy}"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((release / "acme.made" / "SHEET.md").read_text()) == [[5, ["length.json"]]]
    # The README of the release lies a folder above.
    assert "[5](acme.made/length.json)" in (release / "README.md").read_text()
    assert (copy / "acme.made" / "length.json").is_file()
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert "acme.made/length.json" in {file["path"] for file in manifest["files"]}


def test_not_measured_unless_asked_for(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    assert uploader("run", adapter, "--plugins", "rule", "--output", release).returncode == 0
    assert not (release / "acme.made" / "length.json").exists()
    assert (release / "acme.made" / "SHEET.md").read_text() == "[]"
    assert "length" not in (release / "README.md").read_text().lower()


def test_measured_once(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    arguments = ("run", adapter, "--plugins", "rule", "--measure", "--json")
    release = tmp_path / "release"
    uploader(*arguments, "--output", release)
    # Another place to send it makes new documents, and no new measurement.
    again = uploader(*arguments, "--output", release, "--to", f"dir:{tmp_path / 'copy'}")
    steps = {s["id"]: s["status"] for s in json.loads(again.stdout)["steps"]}
    assert steps["rule:length@acme.made"] == "kept"


def test_nothing_that_measures(
    uploader: Any, adapter: Path, install: Callable[..., None], tmp_path: Path
) -> None:
    plain = PLUGIN.replace(" measures=True,", "").replace(' consumes=("adapter",), run', " run")
    install(
        "acme-plain",
        {"plain_plugin": plain.replace("acme.made", "acme.plain")},
        {"plugins": {"plain": "plain_plugin"}},
    )
    result = uploader("plan", adapter, "--plugins", "plain", "--measure", "--without", "gguf")
    assert "no installed plugin measures" in result.stdout + result.stderr


def test_a_section_cannot_measure(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    install(
        "acme-odd",
        {"odd_plugin": PLUGIN.replace('output="length.json"', 'section="Length"')},
        {"plugins": {"odd": "odd_plugin"}},
    )
    result = uploader("plan", adapter, "--plugins", "odd")
    assert result.returncode == 8
    assert "document of one artifact" in result.stderr
