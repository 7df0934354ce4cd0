"""A worker may import what its step needs before the step's request is known."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from uploader_core.contract.context import ReleaseInfo
from uploader_core.contract.step_context import StepData
from uploader_core.errors import PluginBrokenError, StepFailedError
from uploader_core.workers.messages import RunStep, Settings
from uploader_core.workers.pool import Workers
from uploader_kit.job_runs import until

STEP = """
import gc
import os
import sys
from pathlib import Path

with Path(os.environ["SEEN"]).open("a") as seen:
    seen.write(f"{os.getpid()}\\n")

def step(context):
    return context.artifact(metadata={"pid": os.getpid(), "frozen": gc.get_freeze_count()})

def prints(context):
    for number in range(20_000):
        sys.stderr.write(f"line {number}\\n")
    return context.artifact()
"""


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    (tmp_path / "acme_step.py").write_text(STEP)
    (tmp_path / "acme_broken.py").write_text("raise SystemExit('no such device')")
    seen = {"PYTHONPATH": str(tmp_path), "SEEN": str(tmp_path / "seen")}
    return Workers({**os.environ, **seen}, tmp_path / "logs")


def request(tmp_path: Path, run: str) -> RunStep:
    (tmp_path / "work").mkdir()
    return RunStep(
        run=run,
        step="acme:step",
        owner="acme 1.0",
        context=StepData(
            step="acme:step",
            inputs=(),
            release=ReleaseInfo(name="x", source="y"),
            work=tmp_path / "work",
            produces="acme.thing",
        ),
        settings=Settings(),
        output=tmp_path / "out",
    )


def imported_by(tmp_path: Path) -> list[int]:
    path = tmp_path / "seen"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_step_runs_where_its_module_was_imported(tmp_path: Path, workers: Workers) -> None:
    workers.warm("acme_step:step", "acme 1.0")
    result = workers.perform(request(tmp_path, "acme_step:step"), lambda _: None)
    assert imported_by(tmp_path) == [result.metadata["pid"]]


@pytest.mark.parametrize("warm", [True, False])
def test_what_a_worker_imports_is_not_walked_by_the_collector(
    tmp_path: Path, workers: Workers, warm: bool
) -> None:
    if warm:
        workers.warm("acme_step:step", "acme 1.0")
    result = workers.perform(request(tmp_path, "acme_step:step"), lambda _: None)
    assert result.metadata["frozen"] > 0


def test_what_others_let_go_of_is_still_collected_in_the_process_of_a_run(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a notebook, whose model would keep the GPU's memory."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    before = gc.get_freeze_count()
    result = workers.perform(request(tmp_path, "acme_step:step"), lambda _: None, inline=True)
    assert result.metadata["pid"] == os.getpid()
    assert gc.get_freeze_count() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_log_does_not_stop_who_prints(
    tmp_path: Path, workers: Workers
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "acme-step.log").symlink_to("/dev/full")
    result = workers.perform(request(tmp_path, "acme_step:prints"), lambda _: None)
    assert result.kind == "acme.thing"


def test_another_step_gets_a_worker_of_its_own(tmp_path: Path, workers: Workers) -> None:
    workers.warm("acme_broken:step", "acme 1.0")
    result = workers.perform(request(tmp_path, "acme_step:step"), lambda _: None)
    assert imported_by(tmp_path) == [result.metadata["pid"]]
    workers.close()


def test_what_fails_at_import_is_told_by_the_step(tmp_path: Path, workers: Workers) -> None:
    workers.warm("acme_broken:step", "acme 1.0")
    with pytest.raises(PluginBrokenError, match="no such device"):
        workers.perform(request(tmp_path, "acme_broken:step"), lambda _: None)


@pytest.mark.skipif(os.name == "nt", reason="a process is looked for by a signal")
def test_worker_whose_step_does_not_run_is_ended(tmp_path: Path, workers: Workers) -> None:
    workers.warm("acme_step:step", "acme 1.0")
    until(lambda: imported_by(tmp_path), 120, "the worker imports nothing")
    [pid] = imported_by(tmp_path)
    workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


DEATHS = """
import ctypes, os, signal, sys, threading, time

def segfault(context):
    ctypes.string_at(0)

def killed(context):
    os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory is out

def leaves(context):
    sys.exit(0)

def hangs(context):
    threading.Event().wait()

def thinks(context):
    started = time.monotonic()
    while time.monotonic() - started < 3:
        sum(range(100_000))
    return context.artifact()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("segfault", "killed by SIGSEGV"),
        ("killed", "killed by SIGKILL"),
        ("leaves", "SystemExit"),
        ("hangs", "hangs: for 1 s"),
    ],
)
def test_worker_that_dies_is_a_step_that_failed(death: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "acme_death.py").write_text(DEATHS)
    silence = "1" if death == "hangs" else ""  # the others die in a silence of their own
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "UPLOADER_SILENCE": silence}
    workers = Workers(environment, tmp_path / "logs")
    with pytest.raises(StepFailedError, match=words) as failed:
        workers.perform(request(tmp_path, f"acme_death:{death}"), lambda _: None)
    assert failed.value.owner == "acme 1.0"
    assert failed.value.next


def test_silent_worker_that_computes_is_let_alone(tmp_path: Path) -> None:
    (tmp_path / "acme_death.py").write_text(DEATHS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "UPLOADER_SILENCE": "1"}
    result = Workers(environment).perform(request(tmp_path, "acme_death:thinks"), lambda _: None)
    assert result.kind == "acme.thing"


def test_busy_worker_is_ended_after_its_time(tmp_path: Path) -> None:
    (tmp_path / "acme_busy.py").write_text(
        "def loops(context):\n    while True:\n        context.progress('x', 1, 2)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "UPLOADER_STEP_TIMEOUT": "1"}
    with pytest.raises(StepFailedError, match="was not through after 1 s") as failed:
        Workers(environment).perform(request(tmp_path, "acme_busy:loops"), lambda _: None)
    assert "UPLOADER_STEP_TIMEOUT" in str(failed.value.next)
