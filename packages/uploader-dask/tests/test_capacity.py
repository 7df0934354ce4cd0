"""What no worker has is refused, with the worker that comes nearest."""

from __future__ import annotations

import pytest

from uploader_core.plugin import JobResources
from uploader_dask.capacity import Worker, ask, refusals
from uploader_dask.settings import DaskSettings

GB = 10**9
SMALL = Worker(address="tcp://a:1", threads=1, memory=8 * GB, resources={})
RAM = Worker(address="tcp://b:1", threads=4, memory=None, resources={"RAM_GB": 60.0})
GPU = Worker(address="tcp://c:1", threads=1, memory=None, resources={"GPU": 1.0, "VRAM_GB": 24.0})


def refused(*workers: Worker, **needs: int) -> list[str]:
    return [*refusals(DaskSettings(), JobResources(**needs), workers)]


def test_step_without_needs_runs_anywhere() -> None:
    assert refused(SMALL) == refused(RAM, GPU) == []


def test_no_worker_yet_is_no_refusal() -> None:
    assert refused(memory=100 * GB) == []


@pytest.mark.parametrize(
    ("workers", "needs", "words"),
    [
        (
            (SMALL,),
            {"memory": 12 * GB},
            "the largest limit of a worker is 8 GB (tcp://a:1): start one with dask worker "
            "--memory-limit",
        ),
        (
            (RAM, SMALL),
            {"memory": 100 * GB},
            "it needs RAM_GB=100, and the most that a worker has is 60 (tcp://b:1)",
        ),
        ((RAM,), {"gpus": 1}, "it needs GPU=1, and none of 1 workers has any"),
        (
            (RAM, GPU),
            {"gpus": 1, "gpu_memory": 40 * GB},
            'the most that a worker has is 24 (tcp://c:1): start one with dask worker --resources "'
            'VRAM_GB=40"',
        ),
        ((RAM, GPU), {"gpus": 1, "memory": GB}, "no worker has all of RAM_GB=1,GPU=1"),
        ((SMALL,), {"cpus": 2}, "start one with dask worker --nthreads 2"),
    ],
)
def test_what_no_worker_has_is_named(
    workers: tuple[Worker, ...], needs: dict[str, int], words: str
) -> None:
    (said,) = refused(*workers, **needs)
    assert words in said


def test_memory_is_asked_for_where_a_worker_counts_it() -> None:
    needs = JobResources(memory=3 * GB)
    assert ask(DaskSettings(), needs, (SMALL,)) == {}
    assert ask(DaskSettings(), needs, (SMALL, RAM)) == {"RAM_GB": 3.0}


def test_resources_have_the_names_of_the_settings() -> None:
    settings = DaskSettings(gpu="CUDA", vram="MEM")
    needs = JobResources(gpus=1, gpu_memory=16 * GB)
    assert ask(settings, needs, (GPU,)) == {"CUDA": 1, "MEM": 16.0}
