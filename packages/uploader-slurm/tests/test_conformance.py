"""The conformance kit against a real Slurm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest

from uploader_core.plugin import JobResources
from uploader_kit import ExecutorConformance
from uploader_slurm.loopback import HOW_TO_GET, is_available, loopback_cluster


class TestSlurm(ExecutorConformance):
    plugin = "slurm"
    spec = "slurm"
    shortest = 60.0  # and it looks every half minute
    patience = 60.0
    impossible = (
        JobResources(memory=1 << 60),
        JobResources(cpus=64),
        JobResources(seconds=1e7),
        JobResources(gpus=1),
    )

    @classmethod
    @contextlib.contextmanager
    def engine(cls) -> Iterator[Mapping[str, object]]:
        """Start a cluster, which Slurm's programs find by a variable."""
        if not is_available():
            pytest.skip(f"no Slurm here: {HOW_TO_GET}")
        with loopback_cluster(cpus=4) as cluster, pytest.MonkeyPatch.context() as patched:
            for name, value in cluster.environment.items():
                patched.setenv(name, value)
            yield {"interval": 0.2}
