"""Workers that begin with everything imported are workers like any other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from uploader_core.batch.forked_workers import POSSIBLE, ForkedWorkers, ForkServers
from uploader_core.contract.context import ReleaseInfo
from uploader_core.contract.step_context import StepData
from uploader_core.errors import CancelledError, StepFailedError
from uploader_core.workers.messages import RunStep, Settings
from uploader_core.workers.pool import Workers

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="processes are not forked on this system")

WORK = """
import os, sys, threading, time
from uploader_core.plugin import SourceError

BORN = os.getpid()
STATE = []

def save(context):
    STATE.append(1)
    context.output.write("said", f"{BORN} {os.getpid()} {len(STATE)} {os.getppid()}")
    print("to the log")
    return context.artifact()

def refuse(context):
    raise SourceError("not this one")

def die(context):
    os.kill(os.getpid(), 9)

def wait(context):
    try:
        while True:
            context.progress("waiting", 0, 1, "steps")
            time.sleep(0.02)
    except BaseException as error:
        (context.work / "told").write_text(type(error).__name__)
        raise
"""


@pytest.fixture
def work(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    install(
        "acme-fork",
        {
            "acme_fork": WORK,
            "acme_threads": WORK + "\nthreading.Thread(target=time.sleep, args=(60,), daemon=True)"
            ".start()\n",
        },
        {},
    )
    monkeypatch.setenv("PYTHONPATH", str(site))


def request(tmp_path: Path, run: str, name: str = "one") -> RunStep:
    (tmp_path / name).mkdir(exist_ok=True)
    return RunStep(
        step=f"acme:{name}",
        owner="acme-fork 1.0",
        run=run,
        context=StepData(
            step=f"acme:{name}",
            inputs=(),
            release=ReleaseInfo(name="m", source="adapter"),
            work=tmp_path / name,
            produces="acme.fork",
            version="acme-fork 1.0",
        ),
        settings=Settings(),
        output=tmp_path / name / "out",
    )


def said(tmp_path: Path, name: str) -> list[int]:
    return [int(part) for part in (tmp_path / name / "out" / "said").read_text().split()]


@pytest.mark.usefixtures("work")
def test_each_request_is_done_in_the_state_after_the_import(tmp_path: Path) -> None:
    servers = ForkServers(os.environ)
    workers = ForkedWorkers(os.environ, tmp_path / "logs", servers=servers)
    for name in ("one", "two"):
        workers.perform(request(tmp_path, "acme_fork:save", name))
    servers.close()
    one, two = said(tmp_path, "one"), said(tmp_path, "two")
    assert one[0] == two[0]  # imported once
    assert len({one[0], one[1], two[1]}) == 3  # by three processes
    assert one[2] == two[2] == 1
    assert (tmp_path / "logs" / "acme-one.log").read_text() == "to the log\n"


@pytest.mark.usefixtures("work")
def test_errors_and_deaths_arrive_as_from_other_workers(tmp_path: Path) -> None:
    servers = ForkServers(os.environ)
    errors = []
    for workers in (Workers(os.environ), ForkedWorkers(os.environ, servers=servers)):
        for run in ("acme_fork:refuse", "acme_fork:die", "acme_missing:save"):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - compared below
                workers.perform(request(tmp_path, run))
            errors.append((type(caught.value).__name__, str(caught.value)))
    servers.close()
    assert errors[:3] == errors[3:]
    assert "SIGKILL" in errors[1][1]


@pytest.mark.usefixtures("work")
def test_module_that_starts_a_thread_is_not_forked(tmp_path: Path) -> None:
    servers = ForkServers(os.environ)
    workers = ForkedWorkers(os.environ, servers=servers)
    workers.perform(request(tmp_path, "acme_threads:save"))
    servers.close()
    born, process, _, parent = said(tmp_path, "one")
    assert (born, parent) == (process, os.getpid())


@pytest.mark.usefixtures("work")
def test_worker_is_stopped_like_any_other(tmp_path: Path) -> None:
    servers = ForkServers(os.environ)
    patient = {**os.environ, "UPLOADER_CANCEL_TIMEOUT": "600"}  # it leaves by itself, however late
    workers = ForkedWorkers(patient, servers=servers)
    seen = []

    def stop(message: object) -> None:
        if not seen:
            seen.append(message)
            workers.stop()

    with pytest.raises(CancelledError):
        workers.perform(request(tmp_path, "acme_fork:wait"), stop)
    assert (tmp_path / "one" / "told").read_text() == "CancelledError"
    servers.close()


@pytest.mark.usefixtures("work")
def test_secrets_are_never_in_a_process_that_forks(tmp_path: Path) -> None:
    environment = {**os.environ, "ACME_TOKEN": "secret"}
    servers = ForkServers(environment)
    ForkedWorkers(environment, servers=servers).perform(request(tmp_path, "acme_fork:save"))
    (server,) = servers.processes
    variables = Path(f"/proc/{server}/environ").read_text().split("\0")
    assert not [v for v in variables if v.startswith("ACME_TOKEN")]
    servers.close()


@pytest.mark.usefixtures("work")
def test_server_that_dies_takes_its_workers_along_and_is_replaced(tmp_path: Path) -> None:
    servers = ForkServers(os.environ)
    workers = ForkedWorkers(os.environ, servers=servers)

    def end_server(_: object) -> None:
        for pid in servers.processes:
            os.kill(pid, 9)

    with pytest.raises(StepFailedError):
        workers.perform(request(tmp_path, "acme_fork:wait"), end_server)
    workers.perform(request(tmp_path, "acme_fork:save"))
    servers.close()
