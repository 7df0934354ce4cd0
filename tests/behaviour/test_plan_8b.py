"""The plan of an 8B model comes from headers: no weights are read, and they are not even there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparse_models import LLAMA_8B, write_fine_tune

FORMATS = "lora,merged,merged-4bit,gguf,gguf-lora"
BILLION = 10**9

# Exact sizes of an 8B Llama: its tensors, headers and small files.
BASE_TENSORS = 16_060_522_496


@pytest.fixture(scope="module")
def eight_billion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen gigabytes of holes behind true headers."""
    folder = write_fine_tune(tmp_path_factory.mktemp("8b"), LLAMA_8B)
    weights = folder.parents[1] / "base" / "model.safetensors"
    if weights.stat().st_blocks * 512 > BILLION:
        pytest.skip("this file system does not know holes")
    return folder


def plan(uploader: Any, *arguments: object) -> dict[str, Any]:
    done = uploader("plan", *arguments, "--json")
    assert done.returncode in (0, 4), done.stderr  # nobody says that this disk has room for it
    found: dict[str, Any] = json.loads(done.stdout)
    assert {error["error_id"] for error in found["errors"]} <= {"UPL-SPACE"}
    return found


def test_sizes(uploader: Any, eight_billion: Path) -> None:
    found = plan(uploader, eight_billion, "--plugins", FORMATS)
    steps = {step["kind"]: step for step in found["steps"] if step["bytes_written"]}
    assert 0 <= steps["merged-16bit"]["bytes_written"] - BASE_TENSORS < 20 * 10**6
    assert steps["merged-16bit"]["exact"]
    # As llama-quantize made them of this shape: 4.92 and 8.54 GB.
    files = {f["name"].rsplit("-", 1)[-1]: f["size"] for f in steps["gguf"]["files"]}
    assert files["Q4_K_M.gguf"] == pytest.approx(4.92 * BILLION, rel=0.01)
    assert files["Q8_0.gguf"] == pytest.approx(8.54 * BILLION, rel=0.01)
    assert 5.5 * BILLION < steps["merged-4bit"]["bytes_written"] < 6 * BILLION
    (disk,) = found["space"]
    assert disk["peak"] > sum(step["bytes_written"] for step in steps.values())
    assert all(step["seconds"] and step["seconds_from"] for step in steps.values())
    # Merged and converted in blocks: a laptop can do it.
    assert steps["merged-16bit"]["peak_memory"] < BILLION


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_weights_are_read(eight_billion: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from uploader_core.cli import main; "
        f"main(['plan', {str(eight_billion)!r}, '--plugins', {FORMATS!r}]); "
        "sys.stderr.write('READ ' + open('/proc/self/io').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ
    )
    counted = dict(line.split(": ") for line in done.stderr.split("READ ")[1].splitlines())
    # Python's own modules and a tokenizer of nine megabytes, several times; of 16 GB nothing.
    assert int(counted["rchar"]) < 200 * 10**6
