"""Which steps run as jobs, and what a job needs of its machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uploader_core.executor import JobResources
from uploader_core.jobs.job_folder import JobRequest, steps_of
from uploader_core.planning.plan import PlannedStep

MARGIN = 2.0
"""Times the expected seconds, for the wall time of a job."""

LEAST_TIME = 600.0
"""Seconds of wall time that every job is given."""


def is_job(step: PlannedStep) -> bool:
    """Return whether a step of a plan runs as a job; what takes a second does not."""
    return not (step.tells or step.uploads or step.is_virtual)


def needs_of(step: PlannedStep, pieces: Sequence[str] = ()) -> JobResources:
    """Return what a step needs as a job.

    Args:
        step: With its estimate.
        pieces: Those that the job makes; empty for everything.
    """
    sizes = {piece.name: piece.size for piece in step.estimate.pieces}
    share = sum(sizes.get(name, 0) for name in pieces) / max(1, sum(sizes.values()))
    seconds = step.seconds if not pieces or step.seconds is None else share * step.seconds
    return JobResources(
        memory=step.estimate.peak_memory,
        scratch=step.estimate.tightest,
        gpus=1 if step.lane == "gpu" else 0,
        gpu_memory=step.gpu_memory,
        seconds=None if seconds is None else max(LEAST_TIME, MARGIN * seconds),
    )


def needs_together(steps: Mapping[str, PlannedStep], request: JobRequest) -> JobResources:
    """Return what all steps of a request need that one job makes.

    Args:
        steps: By id.
        request: Names some of them.
    """
    found = [needs_of(steps[s.step], s.context.pieces) for s in steps_of(request)]
    seconds = [each.seconds for each in found if each.seconds is not None]
    return JobResources(
        cpus=max(each.cpus for each in found),
        memory=max(each.memory for each in found),
        scratch=sum(each.scratch for each in found),
        gpus=max(each.gpus for each in found),
        gpu_memory=max(each.gpu_memory for each in found),
        seconds=sum(seconds) if seconds else None,
    )
