"""Settings of the plugin ``dask``: a field is ``--dask-FIELD``, or a key of ``[dask]``."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class DaskSettings:
    """Settings of the executor ``dask``."""

    scheduler: str = setting(
        "", help="address of the scheduler (tcp://host:8786), or its --scheduler-file",
        changes_result=False,
    )  # fmt: skip
    ram: str = setting(
        "RAM_GB", help="resource of workers that counts GB of memory", changes_result=False
    )
    gpu: str = setting("GPU", help="resource of workers that counts GPUs", changes_result=False)
    vram: str = setting(
        "VRAM_GB", help="resource of workers that counts GB of memory of a GPU",
        changes_result=False,
    )  # fmt: skip
    places: int | None = setting(
        None, help="tasks at once (default: as many as the workers have threads)",
        changes_result=False,
    )  # fmt: skip
    interval: float = setting(
        1.0, help="seconds between two questions to the scheduler", changes_result=False
    )
