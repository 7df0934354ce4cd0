"""Estimates, asked for in a worker: core asks in its own process, which nothing can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from uploader_core.contract.context import PlanContext
from uploader_core.contract.costs import Estimate
from uploader_core.errors import PluginError
from uploader_core.plugins.entry_points import import_dotted
from uploader_core.workers.messages import Request, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimating(Request[Estimate]):
    """Say what a step costs.

    Attributes:
        context: What the function is given, but for the settings.
        settings: Of the step.
    """

    answer_type: ClassVar[Any] = Estimate

    context: PlanContext
    settings: Settings = field(default_factory=Settings)


def _estimate(request: Estimating, *_: object) -> Estimate:
    context = replace(request.context, settings=request.settings.build())
    result = import_dotted(request.run, request.owner)(context)
    if not isinstance(result, Estimate):
        raise PluginError(f"{request.run} did not return an Estimate but {result!r}")
    return result


OPERATIONS: Mapping[type, Any] = {Estimating: _estimate}
"""What the kit's worker does besides core's."""
