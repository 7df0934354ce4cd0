"""kill -9 at every system call of the commit window."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fault_tools import COMMIT, release_of
from uploader_kit.faults import (
    Call,
    Campaign,
    Tally,
    calls_after,
    kill_at_call,
)


@pytest.fixture
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "true"], capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here")


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """The commit of one step, as :data:`fault_tools.COMMIT` does it, run once undisturbed."""
    # So that two runs make the same calls, whatever other tests compile meanwhile.
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    for name in [n for n in os.environ if n.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # coverage writes files, too
    script = tmp_path / "commit.py"
    script.write_text(COMMIT, "utf-8")
    campaign = Campaign([sys.executable, script, tmp_path / "release"], tmp_path / "release")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # that run has done it
    return campaign


def kill_at(commit: Campaign, calls: list[Call]) -> Tally:
    tally = Tally()
    for call in calls:
        assert kill_at_call(commit.command, call), f"{call} was never reached"
        tally.kills += 1
        commit.after_fault(tally, f"killed entering {call.name} {call.number}")
    return tally


@pytest.mark.usefixtures("strace")
def test_some_calls_of_the_commit_window(commit: Campaign, tmp_path: Path) -> None:
    calls = calls_after(commit.command, "commit-window-begins", tmp_path / "trace")
    commit.clear()
    assert {"fsync", "rename", "chmod"} <= {call.name for call in calls}
    assert kill_at(commit, random.Random(6).sample(calls, 8)).problems == []


@pytest.mark.slow
@pytest.mark.usefixtures("strace")
def test_every_call_of_the_commit_window(commit: Campaign, tmp_path: Path) -> None:
    calls = calls_after(commit.command, "commit-window-begins", tmp_path / "trace")
    commit.clear()
    tally = kill_at(commit, calls)
    print(tally)
    assert tally.problems == []


@pytest.mark.slow
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("name", ["rename", "fsync", "chmod", "mkdir"])
def test_every_such_call_of_a_real_release(pristine: Path, tmp_path: Path, name: str) -> None:
    command, folders = release_of(pristine / "run" / "final_model", "upload", tmp_path)
    campaign = Campaign(command, *folders)
    tally = Tally()
    while kill_at_call(command, Call(name=name, number=tally.kills + 1), children=True):
        tally.kills += 1
        campaign.after_fault(tally, f"killed entering {name} {tally.kills}")
    print(f"{name}: {tally}")
    assert tally.kills >= 3
    assert tally.problems == []
