"""Checks that take seconds: beside the run's other work, once for all who ask, before a byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    for name in ("one", "two"):
        yield SaveSpec(name=name, summary=name, consumes=("adapter",), produces=f"acme.{name}",
                       run="acme_prove.work:save", prove="acme_prove.work:prove")
"""
WORK = """
import os
from pathlib import Path
from uploader_core.plugin import Finding

def prove(context):
    folder = context.input("adapter").path
    with (folder.parent / "proved.txt").open("a") as file:
        file.write(f"{os.getpid()} {context.settings}\\n")
    said = folder / "said.json"
    if said.exists():
        import json
        yield Finding(**json.loads(said.read_text()))

def save(context):
    context.output.write("note.txt", "hello", role="other")
    return context.artifact()
"""


@pytest.fixture(autouse=True)
def prove_plugin(install: Callable[..., None]) -> None:
    install(
        "acme-prove",
        {"acme_prove/__init__": "", "acme_prove/plugin": PLUGIN, "acme_prove/work": WORK},
        {
            "plugins": {"acme-prove": "acme_prove.plugin"},
            "artifacts": {"acme.one": "acme_prove.plugin", "acme.two": "acme_prove.plugin"},
        },
    )


def say(adapter: Path, **finding: str) -> None:
    (adapter / "said.json").write_text(json.dumps(finding), "utf-8")


def test_two_formats_share_one_proof_and_it_has_no_settings(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme-prove", "--yes")
    assert result.returncode == 0, result.stderr
    (line,) = (adapter.parent / "proved.txt").read_text().splitlines()
    assert line.endswith(" None")


def test_what_is_not_made_again_is_not_proved_again(uploader: Any, adapter: Path) -> None:
    for _ in range(2):
        assert uploader("run", adapter, "--plugins", "acme-prove", "--yes").returncode == 0
    assert len((adapter.parent / "proved.txt").read_text().splitlines()) == 1


@pytest.mark.parametrize("command", ["plan", "run"])
def test_proof_that_fails_refuses_and_leaves_no_folder(
    command: str, uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    say(adapter, level="error", what="layer 1 has no MLP", next="save it again")
    out = tmp_path / "out"
    result = uploader(command, adapter, "--plugins", "acme-prove", "--output", out)
    assert result.returncode == 4
    assert "layer 1 has no MLP" in result.stderr
    assert "save it again" in result.stderr
    assert not out.exists()


def test_refused_run_leaves_a_folder_that_was_there(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    say(adapter, level="error", what="layer 1 has no MLP")
    (tmp_path / "out").mkdir()
    uploader("run", adapter, "--plugins", "acme-prove", "--output", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_proof_that_fails_later_keeps_what_an_earlier_run_made(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("run", adapter, "--plugins", "acme.one", "--output", out)
    assert uploader(*arguments).returncode == 0
    say(adapter, level="error", what="layer 1 has no MLP")
    assert uploader(*arguments).returncode == 4
    assert (out / "acme.one" / "note.txt").read_text() == "hello"


@pytest.mark.parametrize("level", ["note", "warning"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_a_proof_has_to_say_is_shown(
    command: str, level: str, uploader: Any, adapter: Path
) -> None:
    say(adapter, level=level, what="it was not proved that it loads", next="pip install acme")
    result = uploader(command, adapter, "--plugins", "acme-prove", "--yes")
    assert result.returncode == 0
    said = " ".join((result.stdout + result.stderr).split())
    assert said.count("it was not proved that it loads") == 1
    assert level in said
    assert "pip install acme" in said


def test_proof_that_breaks_is_told_by_name(
    uploader: Any, adapter: Path, site: Path, tmp_path: Path
) -> None:
    work = site / "acme_prove" / "work.py"
    work.write_text(WORK.replace("folder = ", "import nowhere; folder = "))
    out = tmp_path / "out"
    result = uploader("run", adapter, "--plugins", "acme-prove", "--output", out)
    assert result.returncode == 8
    assert "No module named 'nowhere'" in result.stderr
    assert "acme-prove" in result.stderr
    assert not out.exists()
