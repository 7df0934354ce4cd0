"""What people decided about a release and its publication, as a manifest has it."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.artifact import Json
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.redact import without_local_paths

POLICY = "POLICY"
"""Attribute of a settings class: names of the fields that a manifest shows as policy."""


def policy(plan: Plan, steps: Iterable[PlannedStep]) -> dict[str, Json]:
    """Collect the decisions that are a matter of policy and not of how something is made.

    Args:
        plan: What was planned.
        steps: Whose settings count: those that made the files, and the upload of them.

    Returns:
        ``leave_behind``: files of the source that were left out on purpose. ``settings``: by plugin
        id, what was chosen of the fields that its settings name in ``POLICY``.
    """
    settings: dict[str, dict[str, Json]] = {}
    for step in steps:
        for name in getattr(step.settings, POLICY, ()):
            settings.setdefault(step.plugin.id, {})[name] = step.settings_json[name]
    return {
        "leave_behind": [*sorted(plan.release.leave_behind)],
        "settings": without_local_paths({**settings}),
    }
