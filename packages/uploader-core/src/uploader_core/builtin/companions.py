"""What goes with an artifact of any format: how it was trained, and the licences of its base."""

from __future__ import annotations

from uploader_core import lineage
from uploader_core.artifact import Artifact
from uploader_core.card_head import card_metadata, read_card
from uploader_core.contract.step_context import StepContext
from uploader_core.model_licence import licence_of

_NOTICE = "NOTICE"


def write(context: StepContext) -> Artifact:
    """Write ``training_lineage.json``, and the licence files that the artifact does not have yet.

    A licence that wants a ``NOTICE`` gets one where neither base nor artifact brings it.
    """
    (artifact,) = context.inputs
    base = context.sources.get("base") or context.sources.get("checkpoint")
    licence = licence_of(base, card_metadata(read_card(base)), None)
    there = {file.name for file in artifact.files}
    # Where the base came without, people put them beside the fine-tune.
    for path in (*licence_of(context.sources.get("adapter"), {}, None).files, *licence.files):
        if path.name not in there:
            there.add(path.name)
            with context.output.create(path.name, role="document") as file:
                file.write(path.read_bytes())
    if licence.notice_file and not any(name.upper().startswith(_NOTICE) for name in there):
        context.output.write(_NOTICE, licence.notice_file + "\n", role="document")
    return lineage.write(context)
