"""The release is the same whoever quantises it, and says who did."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from uploader_command import Uploader

KINDS = ("--gguf-quants", "Q8_0,Q4_K_M,Q3_K_M", "--no-gguf-smoke-test")


class Release:
    """A release by the command, and what it said."""

    def __init__(self, fine_tune: Path, place: Path, *options: str, **variables: str) -> None:
        uploader = Uploader(place)
        uploader.environment |= {"COLUMNS": "400", **variables}
        self.result: subprocess.CompletedProcess[str] = uploader(
            "run", fine_tune / "run" / "final_model", "--plugins", "gguf", "--name", "tiny",
            "--output", place / "tiny", *KINDS, *options,
        )  # fmt: skip
        assert self.result.returncode == 0, self.result.stderr + self.result.stdout
        files = (place / "tiny" / "gguf").glob("*.gguf")
        self.digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        manifest: Any = json.loads((place / "tiny" / "upload_manifest.json").read_text("utf-8"))
        (artifact,) = (made for made in manifest["artifacts"] if made["kind"] == "gguf")
        self.kernels = artifact["metadata"]["kernels"]


@pytest.fixture(scope="module")
def reference(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    place = tmp_path_factory.mktemp("reference")
    return Release(pristine, place, "--gguf-kernels", "reference")


def test_fast_kernels_make_the_same_release(
    reference: Release, pristine: Path, tmp_path: Path
) -> None:
    fast = Release(pristine, tmp_path)
    assert fast.digests == reference.digests
    assert len(fast.digests) == 3
    assert fast.kernels.startswith("uploader-kernels ")
    assert reference.kernels.startswith("xllamacpp ")


def test_library_that_does_not_load_is_named_and_the_release_is_the_same(
    reference: Release, pristine: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "site" / "uploader_kernels_native"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()  # before the installed one, which has none
    (folder / "uploader_kernels.so").write_bytes(b"no library at all")
    path = os.pathsep.join([str(folder.parent), os.environ.get("PYTHONPATH", "")])
    slow = Release(pristine, tmp_path, PYTHONPATH=path.rstrip(os.pathsep))
    said = " ".join((slow.result.stdout + slow.result.stderr).split())
    assert "llama.cpp's own kernels quantise, with the same bytes" in said
    assert "uploader_kernels.so cannot be loaded" in said
    assert slow.digests == reference.digests
    assert slow.kernels == reference.kernels


def test_unknown_choice_of_kernels_is_refused(uploader: Uploader, pristine: Path) -> None:
    result = uploader("plan", pristine / "run" / "final_model", "--gguf-kernels", "fastest")
    assert result.returncode == 2
    assert "auto" in result.stderr
    assert "reference" in result.stderr


def test_plan_says_that_torch_alone_merges(uploader: Uploader, pristine: Path) -> None:
    uploader.environment["UPLOADER_KERNELS_LEVEL"] = "mmx"
    result = uploader("plan", pristine / "run" / "final_model", "--plugins", "merged")
    said = " ".join((result.stdout + result.stderr).split())
    assert "torch alone merges, with the same bits" in said
    assert "UPLOADER_KERNELS_LEVEL=mmx is none of plain, avx2, avx512" in said
