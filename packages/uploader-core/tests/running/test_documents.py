"""What documents are told, and which of them take part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import DocumentSpec, SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True)
class Settings:
    notes: bool = setting(False, help="whether to take notes")

@hookimpl
def uploader_savers():
    for name, consumes in ("alone", ("adapter",)), ("both", ("adapter", "base")):
        yield SaveSpec(name=name, summary="made", consumes=consumes, produces=f"acme.{name}",
                       run="made_work:make")

@hookimpl
def uploader_documenters():
    yield DocumentSpec(name="parts", summary="parts", output="parts.json",
                       run="made_work:describe")
    for scope in "artifact", "release":
        yield DocumentSpec(name=f"{scope}-notes", summary="notes", output="notes.txt", scope=scope,
                           settings=Settings, when="made_work:wanted", run="made_work:take_notes")
"""

WORK = """
import json

def make(context):
    context.output.write("made.txt", "12345")
    return context.artifact()

def describe(context):
    parts = {m.kind: [f.sha256 for f in m.files] for m in context.materials}
    context.output.write("parts.json", json.dumps(parts))
    return context.artifact()

def wanted(settings):
    return settings.notes

def take_notes(context):
    context.output.write("notes.txt", "12345")
    return context.artifact()
"""


@pytest.fixture
def release(
    install: Callable[..., None], uploader: Any, adapter: Path, tmp_path: Path
) -> Callable[..., Path]:
    """Release the adapter, and return the folder."""
    points = {
        "plugins": {"made": "made_plugin"},
        "artifacts": {"acme.alone": "made_plugin", "acme.both": "made_plugin"},
    }
    install("acme-made", {"made_plugin": PLUGIN, "made_work": WORK}, points)
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"\0" * 64)

    def run(name: str, plugins: str, *more: str) -> Path:
        output = tmp_path / name
        result = uploader(
            "run", adapter, "--base", base, "--plugins", plugins, "--output", output, *more
        )
        assert result.returncode == 0, result.stderr
        return output

    return run


def test_document_is_told_what_its_artifact_was_made_of(release: Callable[..., Path]) -> None:
    """Else it would differ with what else was asked for in the same run."""
    parts = {
        kind: json.loads((release("all", "made") / f"acme.{kind}" / "parts.json").read_text())
        for kind in ("alone", "both")
    }
    assert [*parts["alone"]] == ["adapter"]
    assert sorted(parts["both"]) == ["adapter", "base"]
    assert all(len(digest) == 64 for digests in parts["both"].values() for digest in digests)


def test_document_that_the_settings_do_not_want_is_no_part(release: Callable[..., Path]) -> None:
    assert not [*release("without", "acme.alone").rglob("notes.txt")]
    with_notes = release("with", "acme.alone", "--made-notes")
    assert (with_notes / "acme.alone" / "notes.txt").is_file()
    assert (with_notes / "notes.txt").is_file()
