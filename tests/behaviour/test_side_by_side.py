"""Runs beside each other, and runs that a person stops."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from uploader_core.destinations.verify import verify_folder
from uploader_kit.faults import digests
from uploader_kit.job_runs import until

SLOW = """
import os, threading
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="quick", summary="quick", consumes=("adapter",), produces="acme.quick",
                   run="acme_slow:quick")
    yield SaveSpec(name="slow", summary="slow", consumes=("adapter",), produces="acme.slow",
                   run="acme_slow:slow")

def quick(context):
    context.output.write("x.txt", "x")
    return context.artifact()

def slow(context):
    if "ACME_WAIT" in os.environ:
        threading.Event().wait()
    context.output.write("y.txt", "y")
    return context.artifact()
"""


def test_eight_runs_share_caches(fine_tune: Path, uploader: Any, tmp_path: Path) -> None:
    """Eight releases of one fine-tune at once: the same bytes, and nothing torn."""
    environment = {**uploader.variables(), "UPLOADER_PACE": str(tmp_path / "pace.json")}
    releases = [tmp_path / f"release-{n}" / "tiny" for n in range(8)]
    runs = [
        subprocess.Popen(
            uploader.argv("run", fine_tune, "--plugins", "lora,merged-16bit", "--name", "tiny",
                          "--output", release, "--yes"),
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for release in releases
    ]  # fmt: skip
    for run in runs:
        _, said = run.communicate(timeout=1800)
        assert run.returncode == 0, said
    first = digests(releases[0])
    for release in releases:
        assert digests(release) == first
        assert verify_folder(release).problems == ()


def test_eight_runs_in_one_folder_do_the_work_once(
    fine_tune: Path, uploader: Any, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    argv = uploader.argv("run", fine_tune, "--plugins", "lora,merged-16bit", "--output", release,
                         "--yes")  # fmt: skip
    runs = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    ends = [(*run.communicate(timeout=1800), run.returncode) for run in runs]
    codes = [code for _, _, code in ends]
    # The others leave and say who works there, or come later and find everything done.
    assert set(codes) <= {0, 5} and 0 in codes
    assert all("another run" in said for _, said, code in ends if code == 5)
    made = sum("done    merged:16bit" in out for out, _, _ in ends)
    assert made == 1
    assert verify_folder(release).problems == ()


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "acme_slow-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme_slow.py").write_text(SLOW)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[uploader_core.plugins]\nslow = acme_slow\n"
        "[uploader_core.artifacts]\nacme.quick = acme_slow\nacme.slow = acme_slow\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_is_finished(
    times: int, slow: None, fine_tune: Path, uploader: Any, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    argv = uploader.argv("run", fine_tune, "--plugins", "slow", "--output", release, "--yes")
    process = subprocess.Popen(
        argv, env={**uploader.variables(), "ACME_WAIT": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    steps = release / ".uploader" / "steps"
    until(lambda: [*steps.glob("slow-quick*.json")], 120, "no step is done")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 or (times == 2 and process.returncode == -signal.SIGINT), said
    assert "Traceback" not in said
    assert (release / "acme.quick" / "x.txt").is_file()
    assert not (release / "acme.slow").exists() or not list((release / "acme.slow").iterdir())
    again = uploader("run", fine_tune, "--plugins", "slow", "--output", release, "--yes", "--json")
    assert again.returncode == 0, again.stderr
    assert '"kept"' in again.stdout
    assert verify_folder(release).problems == ()
    shutil.rmtree(release)
