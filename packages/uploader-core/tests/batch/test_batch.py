"""Several runs in one command: each as if it ran alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from uploader_kit.faults import digests
from uploader_kit.job_runs import until

pytestmark = pytest.mark.usefixtures("notes_plugin")


def statuses(result: Any) -> dict[str, str]:
    return {run["name"]: run["status"] for run in json.loads(result.stdout)["runs"]}


def test_every_run_is_what_it_would_be_alone(uploader: Any, runs: Path) -> None:
    result = uploader("batch", runs, "--json")
    assert result.returncode == 0, result.stderr
    assert statuses(result) == {"french": "done", "deutsch": "done", "greek": "done"}
    greek = ("--notes-sizes", "1,3", "--notes-text", "only here")
    for source, name, options in (
        ("german", "deutsch", ("--notes-sizes", "1,3", "--name", "deutsch")),
        ("greek", "greek", greek),
    ):
        alone = runs.parent / "alone" / name
        uploader("run", runs.parent / "outputs" / source, "--plugins", "notes", *options,
                 "--output", alone)  # fmt: skip
        assert digests(alone) == digests(runs.parent / "out" / name)


def test_same_command_again_repeats_nothing(uploader: Any, runs: Path) -> None:
    uploader("batch", runs)
    before = digests(runs.parent / "out")
    result = uploader("batch", runs, "--json")
    assert {*statuses(result).values()} == {"kept"}
    assert digests(runs.parent / "out") == before


def test_run_that_fails_does_not_stop_the_others(uploader: Any, runs: Path) -> None:
    text = runs.read_text("utf-8")
    runs.write_text(text.replace('text = "only here"', 'mode = "raise"'), "utf-8")
    result = uploader("batch", runs, "--json", "--at-once", "1")
    assert result.returncode == 3
    assert statuses(result) == {"french": "done", "deutsch": "done", "greek": "failed"}
    assert "1 of 3 runs are not done: greek: notes:notes failed" in result.stderr
    assert "2 runs are done and verified" in result.stderr


def test_run_that_cannot_be_planned_is_named_and_the_others_go_on(
    uploader: Any, runs: Path
) -> None:
    (runs.parent / "outputs" / "french" / "adapter_config.json").unlink()
    result = uploader("batch", runs, "--json")
    assert result.returncode == 3
    assert statuses(result)["french"] == "refused"
    assert statuses(result)["greek"] == "done"


def test_fail_fast_starts_no_run_after_one_that_failed(uploader: Any, runs: Path) -> None:
    uploaded = runs.read_text("utf-8").replace("sizes = [1, 3]", 'mode = "raise"')
    runs.write_text(uploaded, "utf-8")
    result = uploader("batch", runs, "--json", "--at-once", "1", "--fail-fast")
    assert [*statuses(result).values()] == ["failed", "stopped", "stopped"]


def test_dry_run_shows_every_run_and_writes_nothing(uploader: Any, runs: Path) -> None:
    result = uploader("batch", runs, "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert [run["name"] for run in plan["runs"]] == ["french", "deutsch", "greek"]
    assert plan["runs"][0]["formats"] == ["acme.notes"]
    assert [*runs.parent.glob("out*")] == [runs.parent / "outputs"]
    assert not [*runs.parent.glob("*.html")]


def test_page_and_last_lines_sum_up(uploader: Any, runs: Path) -> None:
    result = uploader("batch", runs)
    assert "done and verified in" in result.stdout
    assert "3 made" in result.stdout
    page = (runs.parent / "RUNS-batch.html").read_text("utf-8")
    assert 'href="out/deutsch/report.html"' in page
    assert (runs.parent / "out" / "deutsch" / "report.html").is_file()


def test_folder_of_fine_tunes_is_a_batch(uploader: Any, runs: Path) -> None:
    folder = runs.parent / "outputs"
    (folder / "logs").mkdir()
    command = ("batch", folder, "--plugins", "notes", "--output", runs.parent / "o" / "{name}")
    result = uploader(*command, "--json")
    assert result.returncode == 0, result.stderr
    assert [*statuses(result)] == ["french", "german", "greek"]
    (left_out,) = json.loads(result.stdout)["left_out"]
    assert left_out["source"].endswith("logs")
    assert "neither an adapter nor a model" in left_out["why"]


def test_releases_beside_the_fine_tunes_are_no_fine_tunes(uploader: Any, runs: Path) -> None:
    command = ("batch", runs.parent / "outputs", "--plugins", "notes", "--json")
    assert uploader(*command).returncode == 0
    result = uploader(*command)
    assert {*statuses(result).values()} == {"kept"}
    reasons = {item["why"] for item in json.loads(result.stdout)["left_out"]}
    assert reasons == {"a release that uploader made"}


def test_two_runs_into_one_folder_are_refused_before_the_first_byte(
    uploader: Any, runs: Path
) -> None:
    text = runs.read_text("utf-8").replace("out/{name}", "out/same")
    runs.write_text(text, "utf-8")
    result = uploader("batch", runs)
    assert result.returncode == 4
    assert "[[run]] 1" in result.stderr
    assert "would all write the release folder" in result.stderr
    assert not (runs.parent / "out").exists()


def test_two_runs_to_one_destination_are_refused(uploader: Any, runs: Path) -> None:
    text = runs.read_text("utf-8").replace("output =", 'to = ["dir:published"]\noutput =')
    runs.write_text(text, "utf-8")
    result = uploader("batch", runs)
    assert result.returncode == 4
    assert f"dir: {runs.parent / 'published'}" in result.stderr
    runs.write_text(text.replace("dir:published", "dir:published/{name}"), "utf-8")
    assert uploader("batch", runs).returncode == 0
    assert (runs.parent / "published" / "deutsch" / "acme.notes" / "note.txt").is_file()


def test_steps_of_all_runs_are_jobs_of_an_executor(uploader: Any, runs: Path) -> None:
    result = uploader("batch", runs, "--json", "--executor", "local")
    assert {*statuses(result).values()} == {"done"}, result.stderr
    events = (runs.parent / "out" / "greek" / ".uploader" / "events.jsonl").read_text("utf-8")
    assert '"type": "step_job", "step": "notes:notes"' in events
    refused = uploader("batch", runs, "--executor", "locale")
    assert "did you mean local?" in refused.stderr


def test_killed_batch_goes_on(uploader: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploader("batch", runs)
    out = runs.parent / "out"
    calm = digests(out)
    out.rename(runs.parent / "calm")
    monkeypatch.setenv("ACME_WAIT", "1")
    process = subprocess.Popen(
        uploader.argv("batch", runs), cwd=uploader.cwd, start_new_session=True
    )
    until((out / "french" / "acme.notes" / "blob-0.bin").exists, 120, "no blob is made")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    monkeypatch.delenv("ACME_WAIT")
    assert uploader("batch", runs).returncode == 0
    assert digests(out) == calm


def test_stopped_batch_keeps_what_is_finished(
    uploader: Any, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_WAIT", "1")
    process = subprocess.Popen(
        uploader.argv("batch", runs, "--at-once", "2"),
        cwd=uploader.cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    blob = runs.parent / "out" / "french" / "acme.notes" / "blob-0.bin"
    until(blob.exists, 120, "no blob is made")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "everything finished so far is kept" in said
    monkeypatch.delenv("ACME_WAIT")
    result = uploader("batch", runs, "--json")
    assert {*statuses(result).values()} == {"done"}
