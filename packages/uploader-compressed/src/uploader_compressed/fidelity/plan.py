"""What a measurement costs and needs, known before it runs. Light."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Estimate, Finding, PlanContext
from uploader_merged import open_checkpoint
from uploader_merged.fidelity.held_out import check_text, estimate_of

PLUGIN = "compressed"


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse a text that is no text, or none of it.

    Raises:
        RefusedError: There is no such text.
    """
    yield from check_text(context.settings, PLUGIN)


def estimate(context: PlanContext) -> Estimate:
    """Count the logits that are kept meanwhile, and the time."""
    return estimate_of(open_checkpoint(context.input("checkpoint")), context.settings)
