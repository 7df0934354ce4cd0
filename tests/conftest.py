"""A real, tiny fine-tune, and a Hub that the command is logged in to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from make_fine_tune import make_fine_tune
from uploader_command import Uploader


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
