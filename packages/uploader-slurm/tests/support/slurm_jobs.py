"""Jobs that are shell scripts, and waiting for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from uploader_core.plugin import (
    Executor,
    ExecutorContext,
    Job,
    JobResources,
    JobState,
    JobStatus,
)
from uploader_slurm.executor import SlurmExecutor, open_executor
from uploader_slurm.loopback import LoopbackCluster
from uploader_slurm.settings import SlurmSettings


def opened(cluster: LoopbackCluster, settings: SlurmSettings | None = None) -> SlurmExecutor:
    """Return the executor as a run opens it."""
    environment = {**os.environ, **cluster.environment}
    return open_executor(ExecutorContext(settings=settings, environment=environment))


def shell_job(
    folder: Path,
    script: str,
    *,
    key: str = "uploader-0123",
    environment: dict[str, str] | None = None,
    resources: JobResources | None = None,
) -> Job:
    """Return a job that runs a shell script, with little memory."""
    return Job(
        key=key,
        name="my-release merged:16bit",
        folder=folder,
        argv=("/bin/sh", "-c", script),
        environment={"PATH": os.environ["PATH"]} | (environment or {}),
        resources=resources or JobResources(memory=1 << 20),
    )


def await_state(executor: Executor, job_id: str, *states: JobState) -> JobStatus:
    """Poll until a job has one of some states."""
    found: list[JobStatus] = []

    def is_there() -> bool:
        found[:] = [executor.poll([job_id])[job_id]]
        return found[0].state in states

    await_that(is_there, lambda: f"{job_id} is {found}")
    return found[0]


def await_that(holds: Callable[[], bool], what: Callable[[], str] = lambda: "") -> None:
    """Wait until something holds."""
    until = time.monotonic() + 120.0
    while not holds():
        assert time.monotonic() < until, what()
        time.sleep(0.05)
