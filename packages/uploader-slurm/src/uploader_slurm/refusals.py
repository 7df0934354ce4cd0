"""Why a job cannot be submitted, whichever executor is to have it."""

from __future__ import annotations

from uploader_core.plugin import Job, RefusedError


def no_folder(job: Job, error: OSError, executor: str) -> RefusedError:
    """Say that the folder of a job cannot be written.

    Args:
        job: That was to be submitted.
        error: Of the system.
        executor: Its name.
    """
    return RefusedError(
        f"{job.name}: nothing can be written into {job.folder}: {error}",
        owner=f"executor {executor}",
        safe="jobs that were submitted go on",
        next="see whether the file system of the release is there",
    )
