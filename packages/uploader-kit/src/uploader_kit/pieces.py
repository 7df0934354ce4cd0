"""A step that several workers make, piece by piece, as core does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_kit.conformance import expect
from uploader_kit.trial import Trial


def in_pieces(trial: Trial, names: Sequence[str]) -> Artifact:
    """Let two workers make half of the pieces each, and a third one the rest.

    Args:
        trial: In a folder that does not exist.
        names: Of the pieces.

    Returns:
        What the last one returned.

    Raises:
        AssertionError: A worker made a piece of the other.
        UploaderError: A worker failed.
    """
    half = len(names) // 2
    surplus: list[str] = []
    finished: dict[str, ArtifactFile] = {}
    for mine in (names[:half], names[half:]):
        asked = trial.request()
        context = replace(asked.context, pieces=tuple(mine))
        made = trial.send(replace(asked, context=context)).artifact
        surplus += [f.name for f in made.files if f.name in names and f.name not in mine]
        finished |= {file.name: file for file in made.files}
    whole = replace(trial.request(), finished=tuple(finished.values()))
    expect(not surplus, f"a worker made {', '.join(surplus)}, a piece of another one: make "
           "what context.pieces names, and everything where it is empty")  # fmt: skip
    return trial.send(whole).artifact
