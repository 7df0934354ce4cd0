"""Which steps may run side by side."""

from __future__ import annotations

from uploader_core.planning.plan import PlannedStep


class Lanes:
    """Free places by resource lane."""

    def __init__(self, jobs: int) -> None:
        self._free: dict[str, float] = {
            "cpu": jobs,
            "gpu": 1,
            "network": 1,
            "light": float("inf"),
        }

    def take(self, step: PlannedStep) -> bool:
        lane = step.spec.resources.lane
        if self._free[lane] < 1:
            return False
        self._free[lane] -= 1
        return True

    def give_back(self, step: PlannedStep) -> None:
        self._free[step.spec.resources.lane] += 1
