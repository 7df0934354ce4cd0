"""Plugin ``dask``: steps as tasks of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import ExecutorSpec, hookimpl
from uploader_dask.settings import DaskSettings


@hookimpl
def uploader_executors() -> Iterable[ExecutorSpec]:
    yield ExecutorSpec(
        name="dask",
        summary="tasks of a Dask cluster, for a few machines without a batch system",
        settings=DaskSettings,
        run="uploader_dask.executor:open_executor",
    )
