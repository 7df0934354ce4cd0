"""What the executor sends to a cluster, and how it bears the loss of its parts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster
from distributed.protocol import pickle

from uploader_core.plugin import ExecutorContext, Job, JobResources, TemporaryError, UsageError
from uploader_dask import executor as module
from uploader_dask.executor import DaskExecutor, open_executor
from uploader_dask.settings import DaskSettings
from uploader_dask.task import on_this_machine, run_command

WAITS = (
    "import os, pathlib, sys, time\n"
    "(pathlib.Path(sys.argv[1]) / f'by {os.getppid()}').touch()\n"
    "while not (pathlib.Path(sys.argv[1]) / 'go').exists(): time.sleep(0.02)"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=":0",
        resources={"RAM_GB": 4},
    ) as cluster:
        yield cluster


@pytest.fixture
def executor(cluster: LocalCluster) -> Iterator[DaskExecutor]:
    executor = DaskExecutor(DaskSettings(scheduler=cluster.scheduler_address))
    yield executor
    executor.close()


def job_of(folder: Path, code: str = WAITS, **needs: int) -> Job:
    return Job(
        key=f"uploader-{folder.name}",
        name="trial",
        folder=folder,
        argv=(sys.executable, "-S", "-c", code, str(folder)),
        environment={**os.environ},
        resources=JobResources(**needs),
    )


def wait_for(met: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_function_crosses_the_wire_by_its_name() -> None:
    sent = pickle.dumps(run_command)
    assert b"uploader_dask.task" in sent
    assert len(sent) < 100


def test_gpus_are_those_of_the_worker() -> None:
    given = {"HOME": "/home/me", "CUDA_VISIBLE_DEVICES": "0"}
    assert on_this_machine(given, {"CUDA_VISIBLE_DEVICES": "3", "HOME": "/root"}) == {
        "HOME": "/home/me",
        "CUDA_VISIBLE_DEVICES": "3",
    }
    assert on_this_machine(given, {}) == {"HOME": "/home/me"}


def test_executor_without_a_scheduler_says_how_to_start_one() -> None:
    with pytest.raises(UsageError, match="needs a scheduler") as told:
        open_executor(ExecutorContext(settings=DaskSettings(), environment={}))
    assert "--dask-scheduler tcp://HOST:8786" in told.value.next


def test_scheduler_that_is_not_there_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with pytest.raises(TemporaryError, match="tcp://127.0.0.1:9 does not answer"):
        DaskExecutor(DaskSettings(scheduler="tcp://127.0.0.1:9"))


def test_workers_give_places_and_share_what_they_declare(
    executor: DaskExecutor, tmp_path: Path
) -> None:
    """Of three steps of 3 GB, two workers of 4 GB do two at once."""
    assert executor.places == 2
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    ids = [executor.submit(job_of(folder, memory=3 * 10**9)) for folder in folders]
    wait_for(lambda: sum(any(f.glob("by *")) for f in folders) == 2)
    for folder in folders:
        (folder / "go").touch()
    wait_for(lambda: all(s.state == "ended" for s in executor.poll(ids).values()))


def test_task_of_a_worker_that_was_killed_goes_to_another(
    executor: DaskExecutor, tmp_path: Path
) -> None:
    id = executor.submit(job_of(tmp_path))
    wait_for(lambda: [*tmp_path.glob("by *")])
    (mark,) = tmp_path.glob("by *")
    os.kill(int(mark.name.split()[1]), 9)
    wait_for(lambda: len([*tmp_path.glob("by *")]) > 1)
    assert executor.poll([id])[id].state == "running"
    (tmp_path / "go").touch()
    wait_for(lambda: executor.poll([id])[id].state == "ended")


def test_scheduler_that_goes_away_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0"
    ) as cluster:
        executor = DaskExecutor(DaskSettings(scheduler=cluster.scheduler_address))
        id = executor.submit(job_of(tmp_path, "pass"))
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    with pytest.raises(TemporaryError, match="does not answer"):
        executor.poll([id])
    executor.close()


def test_folder_that_a_worker_does_not_see_is_told(executor: DaskExecutor, tmp_path: Path) -> None:
    id = executor.submit(job_of(tmp_path / "elsewhere"))
    wait_for(lambda: executor.poll([id])[id].state == "failed")
    assert "sees no folder" in executor.poll([id])[id].what


def test_cluster_without_this_package_is_told_what_to_install(tmp_path: Path) -> None:
    """The scheduler reads a task as well as the worker that gets it."""
    program = (
        "import sys; sys.modules['uploader_dask'] = None\n"
        "from distributed import LocalCluster\n"
        "with LocalCluster(n_workers=1, processes=False, protocol='tcp', host='127.0.0.1',\n"
        "                  dashboard_address=':0') as cluster:\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as cluster:
        assert cluster.stdout is not None
        executor = DaskExecutor(DaskSettings(scheduler=cluster.stdout.readline().strip()))
        id = executor.submit(job_of(tmp_path, "pass"))
        wait_for(lambda: executor.poll([id])[id].state == "failed")
        assert "pip install uploader-dask" in executor.poll([id])[id].what
        executor.close()
        cluster.communicate()
