"""With what a run works, so that several runs of one process can share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.jobs.crew import Crew
from uploader_core.machine.folder_lock import Watch
from uploader_core.planning.plan import Plan
from uploader_core.release.source_digests import SourceDigests
from uploader_core.workers.pool import Workers


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a run works with and several runs may share.

    Attributes:
        workers: Makes its worker processes.
        digests: Makes its memory of what was hashed.
        crew: What runs the steps, where it is not workers of this machine.
    """

    workers: Callable[..., Workers] = Workers
    digests: Callable[..., SourceDigests] = SourceDigests
    crew: Crew | None = None

    def places(self, jobs: int) -> int:
        """Return how many workers a run has side by side: an executor says it itself."""
        return jobs if self.crew is None else self.crew.executor.places

    def wait(self, events: Any) -> Watch | None:
        """Return what waits for another run in the release folder; None where that is refused."""
        return None if self.crew is None else self.crew.wait(events)

    def step_workers(
        self, plan: Plan, internal: Path, environment: Mapping[str, str], events: Any
    ) -> Workers:
        """Return what runs the steps of a plan.

        Args:
            plan: With estimates.
            internal: The ``.uploader`` folder of the release.
            environment: Variables of the run.
            events: Where it is said what becomes of jobs.
        """
        if self.crew is not None:
            return self.crew.workers(plan.steps, internal, environment, events)
        return self.workers(environment, internal / "logs")


ALONE = Means()
