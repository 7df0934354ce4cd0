"""What a run without an executor, or another environment, does with jobs that were left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from uploader_core.jobs.crew import make_crew
from uploader_core.jobs.job_folder import JobFolder, steps_of
from uploader_core.jobs.pieces import LEAST_VARIABLE
from uploader_core.running.events import EventStream
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.disabled import make_registry
from uploader_kit.faults import digests
from uploader_kit.job_runs import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'")


@pytest.fixture
def left(uploader: Any, blocks_plugin: None, adapter: Path, tmp_path: Path) -> Any:
    """The command, after a driver was killed whose two local jobs go on: each waits for ``go``."""
    uploader.environment |= {
        LEAST_VARIABLE: "1",
        "ACME_LOG": str(tmp_path / "log"),
        "ACME_WAIT_FOR": str(tmp_path / "go"),
    }
    argv = uploader.argv("run", adapter, "--plugins", "blocks", "--name", "m", "--executor",
                         "local", "--jobs", 2)  # fmt: skip
    driver = subprocess.Popen(argv, env=uploader.variables(), stdout=subprocess.DEVNULL)
    until(lambda: (tmp_path / "log").is_file() and len(running(adapter.parent / "m")) == 2,
          600, "two jobs are not at work")  # fmt: skip
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    return uploader


def running(release: Path) -> list[JobFolder]:
    """Return the jobs of a release that are at work."""
    jobs = (release / ".uploader" / "jobs").glob("*/lock.json")
    return [JobFolder(path.parent) for path in jobs]


def another(job: JobFolder, go: Path, folder: Path, **said: str) -> Path:
    """Return a job like one that ended, which says something else; both have one scratch folder."""
    go.touch()
    until(lambda: not (job.path / "lock.json").exists(), 600, "the job does not end")
    other = folder / job.path.name
    other.mkdir(parents=True)
    request = json.loads((job.path / "request.json").read_text())
    (other / "request.json").write_text(json.dumps({**request, **said}))
    return other


def test_a_run_without_executor_does_not_work_beside_them(
    left: Any, adapter: Path, tmp_path: Path
) -> None:
    refused = left("run", adapter, "--plugins", "blocks", "--name", "m")
    assert refused.returncode == 5, refused.stderr
    assert "--executor local" in refused.stderr
    (tmp_path / "go").touch()
    again = left("run", adapter, "--plugins", "blocks", "--name", "m", "--executor", "local",
                 "--jobs", 2)  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_other_settings_end_them_and_take_nothing_of_theirs(
    left: Any, adapter: Path, tmp_path: Path
) -> None:
    command = ("run", adapter, "--plugins", "blocks", "--blocks-size", 50, "--executor", "local")
    (release,) = {job.path.parent.parent.parent for job in running(adapter.parent / "m")}
    left.environment.pop("ACME_WAIT_FOR")
    result = left(*command, "--name", "m")
    assert result.returncode == 0, result.stderr
    assert not (release / ".uploader" / "jobs").exists()
    left(*command, "--name", "m", "--output", tmp_path / "fresh")
    assert digests(release / "acme.blocks") == digests(tmp_path / "fresh" / "acme.blocks")


def test_a_job_with_another_version_of_the_plugin_says_so(
    left: Any, adapter: Path, tmp_path: Path
) -> None:
    job = running(adapter.parent / "m")[0]
    other = another(job, tmp_path / "go", tmp_path / "other", owner="acme-blocks 0.9")
    assert left("step", "exec", other).returncode == 0
    with pytest.raises(Exception, match=r"planned with acme-blocks 0\.9; .* has 1\.0"):
        JobFolder(other).answer(steps_of(JobFolder(other).request())[0])


def test_a_run_that_asks_for_no_job_leaves_those_of_others(
    left: Any, adapter: Path, tmp_path: Path
) -> None:
    internal = adapter.parent / "m" / ".uploader"
    crew = make_crew("local", make_registry(), Config(environment=os.environ), 2)
    with contextlib.closing(crew.workers([], internal, os.environ, EventStream())):
        pass  # refused, or not confirmed
    assert len(running(adapter.parent / "m")) == 2
    (tmp_path / "go").touch()
    again = left("run", adapter, "--plugins", "blocks", "--name", "m", "--executor", "local",
                 "--jobs", 2)  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_what_no_plugin_registers_is_not_called(left: Any, adapter: Path, tmp_path: Path) -> None:
    job = running(adapter.parent / "m")[0]
    other = another(job, tmp_path / "go", tmp_path / "other", run="os:abort")
    assert left("step", "exec", other).returncode == 0
    with pytest.raises(Exception, match="registers no step that runs os:abort"):
        JobFolder(other).answer(steps_of(JobFolder(other).request())[0])


def test_a_folder_that_a_machine_does_not_see_is_named(uploader: Any, tmp_path: Path) -> None:
    result = uploader("step", "exec", tmp_path / "nowhere")
    assert result.returncode == 4
    assert f"this machine sees no folder {tmp_path / 'nowhere'}" in result.stderr
    assert "--output" in result.stderr
