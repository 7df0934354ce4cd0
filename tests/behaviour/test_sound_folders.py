"""No false alarms: folders that nothing is wrong with are planned without a word of warning.

The makers in ``tests/support/sound_folders.py`` train with TRL and save with
sentence-transformers, and lay out what axolotl, LLaMA-Factory, ms-swift and Unsloth write.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sound_folders
from sound_folders import MAKERS

NAMES = [make.__name__ for make in MAKERS]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All folders, made by one process that knows the Hub by its cache alone."""
    root = tmp_path_factory.mktemp("sound")
    done = subprocess.run(
        [sys.executable, sound_folders.__file__, str(root)],
        env={**os.environ, **cache_of(root)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root


def cache_of(root: Path) -> dict[str, str]:
    return {"HF_HOME": str(root / "hf"), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def command(root: Path, name: str, release: Path) -> list[object]:
    made = json.loads((root / "folders.json").read_text("utf-8"))[name]
    plugins, options = made["plugins"], made["options"]
    return [made["folder"], "--plugins", plugins, "--output", release, *options, "--json"]


@pytest.mark.parametrize("name", NAMES)
def test_plan_has_no_warning_and_no_refusal(
    sound: Path, name: str, uploader: Any, tmp_path: Path
) -> None:
    uploader.environment |= cache_of(sound)
    result = uploader("plan", *command(sound, name, tmp_path / "release"))
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert [f for f in plan["findings"] if f["level"] != "note"] == []
    assert plan["errors"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_release_is_done_and_verified(
    sound: Path, name: str, uploader: Any, tmp_path: Path
) -> None:
    uploader.environment |= cache_of(sound)
    result = uploader("run", *command(sound, name, tmp_path / "release"), "--yes")
    assert result.returncode == 0, result.stderr
    assert not [line for line in result.stderr.splitlines() if "warning" in line.lower()]
    assert uploader("verify", tmp_path / "release").returncode == 0
