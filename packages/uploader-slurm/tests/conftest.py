"""A cluster on this machine for all tests, where Slurm's programs are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slurm_jobs import opened
from uploader_slurm.executor import SlurmExecutor
from uploader_slurm.loopback import HOW_TO_GET, LoopbackCluster, is_available, loopback_cluster

FEATURES = "intel,a100-80"


@pytest.fixture(scope="session")
def cluster() -> Iterator[LoopbackCluster]:
    """One node with four processors, in the partitions short, long and urgent."""
    if not is_available():
        pytest.skip(f"no Slurm here: {HOW_TO_GET}")
    with loopback_cluster(cpus=4, memory=8000, features=FEATURES) as started:
        yield started


@pytest.fixture
def slurm(cluster: LoopbackCluster) -> SlurmExecutor:
    """The executor, as a run opens it."""
    return opened(cluster)
