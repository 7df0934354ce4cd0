"""What a step says that could not measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.plugin import (
    Artifact,
    CancelledError,
    IntegrityError,
    OutputFolder,
    ReleaseInfo,
    SpaceError,
    StepContext,
    UploaderError,
)
from uploader_merged.fidelity.record import or_without


def given(place: Path) -> StepContext:
    return StepContext(
        step="gguf:fidelity@gguf",
        inputs=(),
        settings=None,
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=OutputFolder(place / "out", place / "work"),
        work=place / "work",
    )


def test_a_model_that_cannot_be_measured_is_released_without_numbers(tmp_path: Path) -> None:
    def measure(_: StepContext) -> Artifact:
        raise IntegrityError("the model computes NaN or infinity")

    made = or_without(given(tmp_path), measure)
    assert made.metadata == {"not_measured": "the model computes NaN or infinity"}


@pytest.mark.parametrize("error", [CancelledError("stopped"), SpaceError("the disk is full")])
def test_what_says_nothing_of_the_model_ends_the_step(error: UploaderError, tmp_path: Path) -> None:
    def measure(_: StepContext) -> Artifact:
        raise error

    with pytest.raises(type(error)):
        or_without(given(tmp_path), measure)
