"""Plugin ``slurm``: steps as jobs of a Slurm cluster, or of submitit on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import Diagnosis, ExecutorSpec, hookimpl
from uploader_slurm.settings import SlurmSettings


@hookimpl
def uploader_executors() -> Iterable[ExecutorSpec]:
    yield ExecutorSpec(
        name="slurm",
        summary="batch jobs of a Slurm cluster, which go on when the run is gone",
        settings=SlurmSettings,
        run="uploader_slurm.executor:open_executor",
    )
    yield ExecutorSpec(
        name="submitit-local",
        summary="processes of this machine under submitit, to try what Slurm will do",
        run="uploader_slurm.local.executor:open_executor",
        remote=False,
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_slurm.diagnosis import diagnose

    return diagnose(online=online)
