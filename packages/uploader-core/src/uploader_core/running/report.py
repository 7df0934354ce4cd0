"""How steps and runs end, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uploader_core.errors import UploaderError, of_several
from uploader_core.planning.plan import Plan
from uploader_core.release.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a step ended.

    Attributes:
        step: Step id.
        status: ``kept``, ``done``, ``failed`` or ``skipped``.
        record: For kept and done.
        error: For failed.
        because: For skipped: the step that it waited for.
    """

    step: str
    status: str
    record: Record | None = None
    error: UploaderError | None = None
    because: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How a run ended.

    Attributes:
        plan: What was run.
        outcomes: By step id, in the order of the plan.
        seconds: Wall time.
        manifest: Path of the manifest, None when nothing was made.
    """

    plan: Plan
    outcomes: Mapping[str, Outcome]
    seconds: float = 0.0
    manifest: Path | None = None

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes.values() if o.status == "failed")

    def error(self) -> UploaderError | None:
        """Return the error of the run as a whole, None when everything is done and verified."""
        failed = self.failures
        if not failed:
            return None
        first = failed[0].error
        assert first is not None
        done = [
            s.folder
            for s in self.plan.artifacts
            if s.folder and self.outcomes[s.id].status in ("done", "kept")
        ]
        if len(failed) == 1 and not done:
            return first
        whats = "; ".join(f"{o.step}: {o.error.what}" for o in failed if o.error is not None)
        return of_several(o.error for o in failed)(
            f"{len(failed)} of {len(self.outcomes)} steps failed: {whats}",
            owner=first.owner,
            safe=f"finished and kept in {self.plan.output}: {', '.join(done)}" if done else None,
            next=first.next or "run the same command again; finished steps are not repeated",
        )
