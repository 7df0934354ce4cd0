"""The executor on the conformance kit, on a cluster of two workers on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from distributed import LocalCluster

from uploader_kit import ExecutorConformance


class TestDask(ExecutorConformance):
    plugin = "dask"
    patience = 120.0
    limit = 300.0

    @classmethod
    @contextlib.contextmanager
    def engine(cls) -> Iterator[Mapping[str, object]]:
        with LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
        ) as cluster:
            yield {"scheduler": cluster.scheduler_address, "interval": 0.1}
