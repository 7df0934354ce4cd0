"""A third party's format, from the command line to the manifest."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from release_files import digests
from uploader_kit.faults import flip_byte
from uploader_kit.job_runs import until

pytestmark = pytest.mark.usefixtures("notes_plugin")


def test_artifact_lands_in_release_and_manifest(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--name", "m")
    assert result.returncode == 0, result.stderr
    release = adapter.parent / "m"
    assert (release / "acme.notes" / "note.txt").read_text() == "hello"
    manifest = json.loads((release / "upload_manifest.json").read_text())
    files = {f["path"]: f for f in manifest["files"]}
    note = files["acme.notes/note.txt"]
    assert note["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert note["step"] == "notes:notes"
    assert any(
        s["distribution"] == "acme-notes" and s["version"] == "2.5" for s in manifest["steps"]
    )
    assert manifest["materials"][0]["files"][0]["sha256"]


def test_manifest_names_no_local_path(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    text = (adapter.parent / "m" / "upload_manifest.json").read_text()
    assert str(tmp_path) not in text


def test_needed_format_is_added_and_named(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.digest", "--json")
    plan = json.loads(result.stdout)
    needed = {s["id"]: s["needed_by"] for s in plan["steps"]}
    assert needed["notes:notes"] == "notes"
    assert needed["notes:digest"] is None


def test_plan_writes_nothing(uploader: Any, adapter: Path) -> None:
    before = digests(adapter.parent)
    assert uploader("plan", adapter, "--plugins", "notes").returncode == 0
    assert digests(adapter.parent) == before


def test_second_run_runs_no_step(uploader: Any, adapter: Path) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    result = uploader("run", adapter, "--plugins", "notes", "--name", "m", "--json")
    report = json.loads(result.stdout)
    assert {s["status"] for s in report["steps"]} == {"kept"}


def test_changed_setting_runs_the_step_again_and_removes_what_it_replaced(
    uploader: Any, adapter: Path
) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    uploader("run", adapter, "--plugins", "notes", "--name", "m", "--notes-sizes", "1")
    assert not (adapter.parent / "m" / "acme.notes" / "blob-1.bin").exists()


def test_step_behind_one_that_ran_again_is_kept_next_time(uploader: Any, adapter: Path) -> None:
    uploader("run", adapter, "--plugins", "notes,acme.digest", "--name", "m")
    again = ("run", adapter, "--plugins", "notes,acme.digest", "--name", "m", "--notes-sizes", "1")
    assert uploader(*again).returncode == 0
    report = json.loads(uploader(*again, "--json").stdout)
    assert {s["status"] for s in report["steps"]} == {"kept"}


def test_changed_file_is_set_aside_and_rebuilt(uploader: Any, adapter: Path) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    release = adapter.parent / "m"
    note = release / "acme.notes" / "note.txt"
    note.write_text("tampered")
    assert uploader("verify", release).returncode == 7
    assert uploader("run", adapter, "--plugins", "notes", "--name", "m").returncode == 0
    assert note.read_text() == "hello"
    aside = list((release / ".uploader" / "quarantine").iterdir())
    assert [p.read_text() for p in aside] == ["tampered"]
    assert uploader("verify", release).returncode == 0


def test_converter_is_not_given_what_changed_on_the_disk(uploader: Any, adapter: Path) -> None:
    uploader("run", adapter, "--plugins", "notes", "--name", "m")
    flip_byte(adapter.parent / "m" / "acme.notes" / "note.txt", random.Random(1))
    convert = ("run", adapter, "--plugins", "acme.digest,notes", "--name", "m")
    result = uploader(*convert)
    assert result.returncode in (3, 7)
    assert "a file of notes:notes changed since it was recorded" in result.stderr
    assert not (adapter.parent / "m" / "acme.digest").exists()
    assert uploader(*convert).returncode == 0
    assert (adapter.parent / "m" / "acme.notes" / "note.txt").read_text() == "hello"


def test_checksum_believes_no_time(uploader: Any, adapter: Path) -> None:
    command = ("run", adapter, "--plugins", "notes", "--name", "m", "--json")
    uploader(*command)
    note = adapter.parent / "m" / "acme.notes" / "note.txt"
    flip_byte(note, random.Random(1))
    assert json.loads(uploader(*command).stdout)["steps"][0]["status"] == "kept"
    report = json.loads(uploader(*command, "--checksum").stdout)
    assert report["steps"][0]["status"] == "done"
    assert note.read_text() == "hello"


def test_settings_from_file_environment_and_command_line(
    uploader: Any, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text() -> str:
        result = uploader("plan", adapter, "--plugins", "notes", "--json", *extra)
        return str(json.loads(result.stdout)["steps"][0]["settings"]["text"])

    extra: list[str] = []
    assert text() == "hello"
    (uploader.cwd / "uploader.toml").write_text('[notes]\ntext = "from file"\n')
    assert text() == "from file"
    monkeypatch.setenv("UPLOADER_NOTES_TEXT", "from environment")
    assert text() == "from environment"
    extra = ["--notes-text", "from command line"]
    assert text() == "from command line"


@pytest.mark.parametrize(
    ("mode", "words"),
    [("raise", "told to raise"), ("exit", "SystemExit"), ("segfault", "SIGSEGV")],
)
def test_failing_step_is_named_and_leaves_others_alone(
    uploader: Any, adapter: Path, mode: str, words: str
) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--name", "m", "--notes-mode", mode)
    assert result.returncode == 8
    assert words in result.stderr
    assert "acme-notes 2.5" in result.stderr
    assert "Traceback" not in result.stderr


def test_killed_run_resumes_to_the_same_digests(
    uploader: Any, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", adapter, "--plugins", "acme.digest", "--notes-sizes", "1,30", "--output")
    assert uploader(*arguments, adapter.parent / "calm").returncode == 0
    monkeypatch.setenv("ACME_WAIT", "1")
    killed = adapter.parent / "killed"
    process = subprocess.Popen(
        uploader.argv(*arguments, killed),
        cwd=uploader.cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until((killed / "acme.notes" / "blob-0.bin").exists, 120, "no blob is made")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "acme.notes" / "blob-1.bin").exists()
    monkeypatch.delenv("ACME_WAIT")
    assert uploader(*arguments, killed).returncode == 0
    assert digests(killed) == digests(adapter.parent / "calm")


def test_dir_destination_receives_every_file_and_verifies(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out put"
    result = uploader("run", adapter, "--plugins", "notes", "--to", f"dir:{target}")
    assert result.returncode == 0, result.stderr
    assert (target / "acme.notes" / "note.txt").read_text() == "hello"
    assert (target / "README.md").is_file()
    assert uploader("verify", target).returncode == 0


def test_foreign_folder_is_refused_untouched(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    result = uploader("run", adapter, "--plugins", "notes", "--output", foreign)
    assert result.returncode == 4
    assert [p.name for p in foreign.iterdir()] == ["thesis.txt"]


def test_second_run_on_a_busy_folder_leaves(
    uploader: Any, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_WAIT", "1")
    release = adapter.parent / "busy"
    arguments = ("run", adapter, "--plugins", "notes", "--output", release)
    process = subprocess.Popen(
        uploader.argv(*arguments),
        cwd=uploader.cwd,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until((release / "acme.notes" / "blob-0.bin").exists, 120, "no blob is made")
        result = uploader(*arguments)
        assert result.returncode == 5
        assert "another run" in result.stderr
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_edit_of_an_editable_plugin_makes_its_steps_run_again(
    uploader: Any, adapter: Path, site: Path
) -> None:
    def statuses() -> set[str]:
        result = uploader("run", adapter, "--plugins", "notes", "--name", "m", "--json")
        return {step["status"] for step in json.loads(result.stdout)["steps"]}

    (info,) = site.glob("*.dist-info")
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert "done" in statuses()
    assert statuses() == {"kept"}
    work = site / "acme_notes" / "work.py"
    work.write_text(work.read_text("utf-8") + "\n# another line\n", "utf-8")
    assert "done" in statuses()
    assert statuses() == {"kept"}
