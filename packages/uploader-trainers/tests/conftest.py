"""Real trainings: the scripts of the examples, run as a person would, and what they leave."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from uploader_kit.job_steps import Marks

EXAMPLES = Path(__file__).parents[3] / "examples" / "trainers"

HELD = """
from uploader_core.plugin import Estimate, SaveSpec, hookimpl
from uploader_kit.job_steps import FILES, Settings

@hookimpl
def uploader_savers():
    yield SaveSpec(name="held", summary="a file after the other", consumes=("adapter",),
                   produces="acme.held", settings=Settings, run="uploader_kit.job_steps:make",
                   estimate="acme_held:estimate")

def estimate(context):
    return Estimate(bytes_written=sum(1000 * len(name) for name in FILES))
"""


def train(method: str, folder: Path) -> Path:
    """Run a trainer's script; return the final model."""
    if importlib.util.find_spec("trl") is None or importlib.util.find_spec("datasets") is None:
        pytest.skip("needs trl and datasets")
    script = EXAMPLES / f"rtx3090_{method}" / f"train_{method}.py"
    done = subprocess.run(
        [sys.executable, str(script), "--steps", "5",
         "--output-root", str(folder / f"{method}_output_rtx3090")],
        capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def sft_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the SFT trainer leaves; read only."""
    return train("sft", tmp_path_factory.mktemp("sft"))


@pytest.fixture(scope="session")
def kto_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the KTO trainer leaves; read only."""
    return train("kto", tmp_path_factory.mktemp("kto"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A loopback Hub with the user ``me``, who is logged in."""
    from loopback_hub import LoopbackHub

    with LoopbackHub(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.token("me"))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        yield server


@pytest.fixture
def held(install: Callable[..., None], tmp_path: Path) -> Marks:
    """A format ``held``, whose step waits where it is told to until these marks let it go."""
    points = {"plugins": {"held": "acme_held"}, "artifacts": {"acme.held": "acme_held"}}
    install("acme-held", {"acme_held": HELD}, points, requires="uploader-core>=0.1,<1")
    (tmp_path / "marks").mkdir()
    return Marks(tmp_path / "marks")


@pytest.fixture
def wrapper(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a trainer's shell wrapper."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    monkeypatch.setenv("UPLOADER_PYTHON", sys.executable)

    def run(trainer: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(EXAMPLES / trainer / "upload_model.sh"), *map(str, arguments)],
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip

    return run
