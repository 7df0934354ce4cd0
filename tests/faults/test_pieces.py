"""A run whose workers make pieces is killed: what they finished is kept, with the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fault_tools import kill_and_go_on
from uploader_command import Uploader
from uploader_core.disk.safe_write import hash_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'"),
]

FORMATS = {
    "gguf": (),
    "compressed": ("--compressed-kinds", "fp8-dynamic,w4a16", "--compressed-shard-size", "400KB"),
    "mlx-quantised": ("--mlx-shard-size", "100KB"),
}


FINISHED = r"/parts/[^/]+$|/model[^/]*\.safetensors$"
"""Parts and weight files that are whole."""


def weights(release: Path) -> dict[str, str]:
    files = [*release.glob("*/*.safetensors"), *release.glob("*/*.gguf")]
    return {path.relative_to(release).as_posix(): hash_file(path)[1] for path in files}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_finished_is_kept(
    uploader: Uploader, pristine: Path, tmp_path: Path, name: str
) -> None:
    whole, release = tmp_path / "whole", tmp_path / "divided"
    asked = ("run", pristine / "run" / "final_model", "--plugins", name, "--name", "m", "--yes",
             *FORMATS[name])  # fmt: skip
    made = uploader(*asked, "--output", whole)
    assert made.returncode == 0, made.stdout + made.stderr
    uploader.environment["UPLOADER_LEAST_PIECE"] = "1"
    argv = uploader.argv(*asked, "--output", release, "--jobs", 2)
    kill_and_go_on(uploader, argv, FINISHED)
    assert weights(release) == weights(whole)
