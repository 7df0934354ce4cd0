"""A real, tiny fine-tune and the command that releases it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from make_fine_tune import make_fine_tune


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``base/`` and ``run/final_model/``: a Llama of two layers and a LoRA on it."""
    return make_fine_tune(tmp_path_factory.mktemp("fine-tune"))


@pytest.fixture
def fine_tune(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the fine-tune that a test may damage."""
    root = tmp_path / "fine-tune"
    shutil.copytree(pristine, root)
    return root / "run" / "final_model"


class Uploader:
    """Runs the installed command in a process of its own."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.environment: dict[str, str] = {}

    def argv(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]

    def variables(self) -> Mapping[str, str]:
        return {**os.environ, **self.environment}

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.cwd,
            env={**self.variables()},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )


@pytest.fixture
def uploader(tmp_path: Path) -> Uploader:
    return Uploader(tmp_path)


@pytest.fixture
def hub(tmp_path: Path, uploader: Uploader) -> Iterator[Any]:
    """A loopback Hub with the user ``me``; the command is logged in there."""
    from loopback_hub import LoopbackHub

    with LoopbackHub(tmp_path / "hub") as server:
        uploader.environment |= {
            "HF_ENDPOINT": server.url,
            "HF_TOKEN": server.token("me"),
            "HF_HOME": str(tmp_path / "hf-home"),
        }
        yield server
