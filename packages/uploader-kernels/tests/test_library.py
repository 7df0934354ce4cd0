"""What one is told when the kernels cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import uploader_kernels
from uploader_kernels.library import LEVEL, LEVELS


def test_best_instructions_of_the_processor_are_taken() -> None:
    assert uploader_kernels.load().level in LEVELS


def test_lower_instructions_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEVEL, "plain")
    assert uploader_kernels.load().level == "plain"


def test_unknown_instructions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEVEL, "mmx")
    with pytest.raises(uploader_kernels.KernelsError, match="mmx is none of plain, avx2, avx512"):
        uploader_kernels.load()


def test_instructions_that_the_processor_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    best = LEVELS.index(uploader_kernels.load().level)
    if best == len(LEVELS) - 1:
        pytest.skip("this processor has all of them")
    monkeypatch.setenv(LEVEL, LEVELS[-1])
    with pytest.raises(uploader_kernels.KernelsError, match="this processor has no avx512"):
        uploader_kernels.load()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no library at all", "cannot be loaded"), (None, "installed without its library")],
)
def test_library_that_is_broken_or_missing_is_named(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    folder = tmp_path / "uploader_kernels_native"
    folder.mkdir()
    if content is not None:
        (folder / "uploader_kernels.so").write_bytes(content)
    # A folder that comes first on the path and has an __init__ hides the installed one.
    (folder / "__init__.py").touch()
    code = "import uploader_kernels as k\ntry: k.load()\nexcept k.KernelsError as e: print(e)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert reason in told.stdout


def test_importing_it_imports_no_numpy() -> None:
    code = "import sys, uploader_kernels; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
