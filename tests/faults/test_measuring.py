"""A run whose workers measure some files each is killed: what they saw is kept, exactly."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fault_tools import kill_and_go_on
from uploader_command import Uploader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'"),
]

SPEEDS = ("prompt_tokens_per_second", "generation_tokens_per_second")
GGUF = ("--plugins", "gguf", "--gguf-quants", "Q8_0,Q4_K_M,Q2_K", "--name", "m", "--yes")


def numbers(release: Path) -> dict[str, Any]:
    """Return what was measured, all but how fast."""
    data = json.loads((release / "gguf" / "fidelity.json").read_text("utf-8"))
    for model in (data["reference"], *data["models"]):
        for speed in SPEEDS:
            assert model.pop(speed) > 0
    return dict(data)


@pytest.fixture(scope="module")
def made(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``whole``, which one worker measured, and ``before``, the same before that."""
    place = tmp_path_factory.mktemp("made")
    uploader = Uploader(place)
    asked = ("run", pristine / "run" / "final_model", *GGUF, "--output", place / "whole")
    for more in ((), ("--measure",)):
        ended = uploader(*asked, *more)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        if not more:
            shutil.copytree(place / "whole", place / "before", symlinks=True)
    return place


@pytest.mark.parametrize("how", [("--jobs", 2), ("--executor", "local", "--jobs", 2)])
def test_contexts_that_were_measured_are_kept(
    made: Path, uploader: Uploader, pristine: Path, tmp_path: Path, how: tuple[object, ...]
) -> None:
    release = shutil.copytree(made / "before", tmp_path / "m", symlinks=True)
    uploader.environment["UPLOADER_LEAST_PIECE"] = "1"
    argv = uploader.argv("run", pristine / "run" / "final_model", *GGUF, "--output", release,
                         "--measure", *how)  # fmt: skip
    kill_and_go_on(uploader, argv, r"/parts/context-[^/]+$")
    assert numbers(release) == numbers(made / "whole")
    assert not [*release.glob(".uploader/units/*/*/parts")]
