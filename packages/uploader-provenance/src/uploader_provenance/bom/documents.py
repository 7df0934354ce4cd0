"""The steps that write bills of materials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uploader_core.plugin import Artifact, StepContext
from uploader_provenance.bom import cyclonedx, spdx
from uploader_provenance.bom.facts import Facts, gather
from uploader_provenance.settings import BomSettings


def write_of_artifact(context: StepContext) -> Artifact:
    """Write ``ml-bom.cdx.json`` of one artifact into its folder."""
    return _write(context, cyclonedx.of_artifact)


def write_of_release(context: StepContext) -> Artifact:
    """Write ``ml-bom.cdx.json`` of all artifacts into the release folder."""
    return _write(context, cyclonedx.of_release)


def _write(context: StepContext, bill: Callable[[Facts], dict[str, Any]]) -> Artifact:
    text = cyclonedx.to_text(bill(gather(context)))
    context.output.write(cyclonedx.NAME, text, role="document")
    return context.artifact()


def write_spdx(context: StepContext) -> Artifact:
    """Write ``spdx.json`` about one artifact or all of them.

    Raises:
        UsageError: The time that the user gave is none.
    """
    created = spdx.time_of(context.settings.date)
    document = spdx.document_of(gather(context), context.model_id, created)
    context.output.write(spdx.NAME, spdx.to_text(document), role="document")
    return context.artifact()


def is_spdx_wanted(settings: BomSettings) -> bool:
    """Return whether the user asked for ``spdx.json``."""
    return settings.spdx
