"""What a spec says of how its kind is run."""

from __future__ import annotations

from uploader_core.artifact import Artifact
from uploader_core.contract.context import UseContext
from uploader_core.plugins.entry_points import call_light
from uploader_kit.conformance import expect
from uploader_kit.trial import RELEASE


def check_use(dotted: str, owner: str, artifact: Artifact) -> None:
    """Complain of something else than pairs of a program and a command.

    Args:
        dotted: The spec's ``use``.
        owner: Whose it is.
        artifact: What was made.

    Raises:
        ConformanceError: As said.
    """
    for pair in call_light(dotted, owner, UseContext(artifact=artifact, release=RELEASE)):
        pair_of_texts = isinstance(pair, (tuple, list)) and [type(t) for t in pair] == [str, str]
        expect(pair_of_texts, f"{dotted} gave {pair!r}, no pair of a program and a command")
