"""A whole release through a real Slurm, with everything that happens on clusters."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from uploader_command import Uploader
from uploader_slurm.loopback import HOW_TO_GET, LoopbackCluster, is_available, loopback_cluster

pytestmark = pytest.mark.slow

# Shards of the tiny model are pieces of their own, so that there is something to lose.
PIECES = {"UPLOADER_LEAST_PIECE": "1", "UPLOADER_MOST_PIECE": "300000", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterJob:
    """A job as the controller remembers it.

    Attributes:
        id: Its number.
        name: The same for two jobs that do the same work.
        state: Slurm's word.
        restarts: How often it was requeued.
        node: Where it ran last.
    """

    id: str
    name: str
    state: str
    restarts: int
    node: str


@pytest.fixture
def cluster(uploader: Uploader) -> Iterator[LoopbackCluster]:
    """Two nodes, which the command finds."""
    if not is_available():
        pytest.skip(f"no Slurm here: {HOW_TO_GET}")
    with loopback_cluster(nodes=2, cpus=2, memory=8000) as started:
        uploader.environment |= {**PIECES, **started.environment, "UPLOADER_SLURM_INTERVAL": "0.2"}
        yield started


def jobs_of(cluster: LoopbackCluster) -> list[ClusterJob]:
    found = []
    for line in cluster.run("scontrol", "show", "job", "--oneliner").splitlines():
        told = dict(re.findall(r"(\w+)=(\S+)", line))
        if "JobId" in told:
            found.append(
                ClusterJob(
                    id=told["JobId"],
                    name=told["JobName"],
                    state=told["JobState"],
                    restarts=int(told["Restarts"]),
                    node=told.get("NodeList", ""),
                )
            )
    return found


def digests(*folders: Path) -> dict[str, str]:
    """Return the digests of all files but those that say where they went, and when."""
    return {
        f"{folder.name}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and ".uploader" not in path.parts
        and path.name != "report.html"
        and path != folder.parent / "release" / "upload_manifest.json"
    }


def the_command(fine_tune: Path, root: Path) -> tuple[object, ...]:
    """Return the demo's command, with shards, and without the speeds that it measures."""
    return (
        *("run", fine_tune, "--name", "tiny", "--output", root / "release", "--yes"),
        *("--plugins", "lora,merged,gguf", "--gguf-quants", "F16,Q8_0,Q4_K_M"),
        *("--merged-shard-size", "500KB"),
        *("--to", f"dir:{root / 'published'}", "--to", "hf:me/tiny"),
    )


def await_that(holds: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, what
        time.sleep(0.05)
    return found


def at_work(cluster: LoopbackCluster, release: Path, *, but: tuple[str, ...] = ()) -> ClusterJob:
    """Wait until a job is in the middle of its step."""

    def found() -> ClusterJob | None:
        locks = {
            lock.parent.name.rpartition("-")[2] for lock in release.glob(".uploader/jobs/*/lock")
        }
        for job in jobs_of(cluster):
            if (
                job.state == "RUNNING"
                and job.id not in but
                and job.name[len("uploader-") :] in locks
            ):
                return job
        return None

    job: ClusterJob = await_that(found, "no job is at work")
    return job


def test_release_on_a_cluster_on_a_bad_day_is_the_same_release(
    cluster: LoopbackCluster, uploader: Uploader, fine_tune: Path, hub: Any, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    local = uploader(*the_command(fine_tune, here))
    assert local.returncode == 0, local.stderr + local.stdout
    hub_of_local = hub_files(hub)

    command = (*the_command(fine_tune, there), "--executor", "slurm", "--jobs", "3")
    with (tmp_path / "first.txt").open("wb") as printed:
        driver = subprocess.Popen(
            uploader.argv(*command),
            cwd=uploader.cwd,
            env={**uploader.variables()},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
    requeued = at_work(cluster, there / "release")
    driver.kill()
    driver.wait()
    # While nobody looks: one job is put back in line, and its node takes nothing any more.
    cluster.run("scontrol", "requeue", requeued.id)
    cluster.drain(requeued.node)

    with (tmp_path / "second.txt").open("wb") as printed:
        driver = subprocess.Popen(
            uploader.argv(*command),
            cwd=uploader.cwd,
            env={**uploader.variables()},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
    cancelled = at_work(cluster, there / "release", but=(requeued.id,))
    cluster.run("scancel", cancelled.id)
    code = driver.wait(timeout=600)
    said = (tmp_path / "second.txt").read_text("utf-8", "replace")
    assert code == 0, said

    assert digests(there / "release", there / "published") == digests(
        here / "release", here / "published"
    )
    assert hub_files(hub) == hub_of_local
    jobs = jobs_of(cluster)
    assert len(jobs) > 5
    assert {job.id: job.restarts for job in jobs if job.restarts} == {requeued.id: 1}
    assert {job.id for job in jobs if job.state != "COMPLETED"} == {cancelled.id}
    twice = {name for name, times in Counter(job.name for job in jobs).items() if times > 1}
    assert twice == {cancelled.name}


def hub_files(hub: Any) -> dict[str, str]:
    """Return the digests of what is on the Hub, history aside."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    found = {}
    for model in api.list_models(author="me"):
        for file in api.list_repo_tree(model.id, recursive=True):
            found[f"{model.id}/{file.path}"] = getattr(file, "blob_id", "")
    return found
