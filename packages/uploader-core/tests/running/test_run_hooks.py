"""Observers see a run and cannot change it; wrappers surround a step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from notes_plugin import NOTES_PLUGIN, NOTES_WORK

OBSERVER = (
    NOTES_PLUGIN
    + """
import os
from pathlib import Path

def note(line):
    with Path(os.environ["ACME_LOG"]).open("a") as file:
        file.write(line + "\\n")

@hookimpl
def uploader_run_started(plan):
    note(f"started {plan.release.name}")

@hookimpl
def uploader_step_finished(step, outcome):
    note(f"{step.id} {outcome.status}")
    raise RuntimeError("observers may fail")

@hookimpl
def uploader_run_finished(report):
    note("finished")

@hookimpl(wrapper=True)
def uploader_execute(step):
    note(f"before {step.id}")
    result = yield
    note(f"after {step.id}")
    return result

@hookimpl
def uploader_error_hints(error):
    from uploader_core.plugin import Hint
    yield Hint(code="acme", text="ask acme")
"""
)


@pytest.fixture
def log(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(
        "acme-notes",
        {"acme_notes.__init__": "", "acme_notes.plugin": OBSERVER, "acme_notes.work": NOTES_WORK},
        {"plugins": {"notes": "acme_notes.plugin"}},
    )
    monkeypatch.setenv("ACME_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_observers_and_wrappers_are_called_in_order(
    uploader: Any, adapter: Path, log: Path
) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--name", "m", "--without", "dir,hf")
    assert result.returncode == 0, result.stderr
    assert log.read_text().splitlines() == [
        "started m",
        "before notes:notes",
        "after notes:notes",
        "notes:notes done",
        "finished",
    ]


def test_failing_observer_is_a_warning_in_the_log(uploader: Any, adapter: Path, log: Path) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    events = (adapter.parent / "m" / ".uploader" / "events.jsonl").read_text().splitlines()
    warnings = [e["what"] for e in map(json.loads, events) if e["type"] == "warning"]
    assert "observer of notes: observers may fail" in warnings


@pytest.mark.usefixtures("log")
def test_hint_of_a_plugin_is_shown_with_the_error(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--notes-mode", "raise")
    assert "ask acme" in result.stderr
