"""Every format made once more in a second environment: the same bits.

Another folder, home, locale, time zone, hash seed and umask, other numbers of threads and workers,
another user where this one may become one, and with ``UPLOADER_OTHER_PYTHON`` another interpreter
with what is installed there: ``nox -s reproduce`` makes one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PYTHON = os.environ.get("UPLOADER_OTHER_PYTHON", sys.executable)
NOBODY = 65534
FORMATS = (
    "--plugins", "lora,merged-16bit,merged-4bit,gguf,compressed",
    "--gguf-quants", "Q8_0,Q2_K,Q3_K_M,Q4_K_M,Q5_K_M,Q6_K",
    "--compressed-kinds", "fp8-dynamic,fp8-block,w8a8,w4a16,w8a16,nvfp4a16,mxfp4",
)  # fmt: skip


def other_user() -> dict[str, Any]:
    """Return what starts a process as somebody else; nothing where that cannot be."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([PYTHON, "-c", "import uploader_core"], check=True, capture_output=True,
                       env={"PATH": os.environ["PATH"]}, **who)  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return {}  # an interpreter below /root, for instance
    return who


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that shares nothing with the first one, its name not even its letters."""
    # Not one of pytest's: every session of it closes those to other users.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "ein anderer Ordner – größer"
        place.mkdir()
        yield place


def variables(home: Path) -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "SSL_CERT_FILE", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "LC_ALL": "C",
        "TZ": "Asia/Kolkata",
        "PYTHONHASHSEED": "4711",
        "OMP_NUM_THREADS": "3",
        "UPLOADER_LOAD_PROOFS": str(home / "proofs"),
        "UPLOADER_PACE": str(home / "pace.json"),
    }


def test_every_format_is_made_again_elsewhere(
    uploader: Any, fine_tune: Path, elsewhere: Path
) -> None:
    uploader.environment |= {"OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    made = uploader("run", fine_tune, *FORMATS, "--output", uploader.cwd / "release", "-y")
    assert made.returncode == 0, made.stderr

    shutil.copytree(uploader.cwd / "release", elsewhere / "published")
    shutil.copytree(fine_tune, elsewhere / "adapter")
    shutil.copytree(fine_tune.parents[1] / "base", elsewhere / "the base")
    (elsewhere / "home").mkdir()
    who = other_user()
    if who:
        for path in (elsewhere, *elsewhere.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    done = subprocess.run(
        [PYTHON, "-m", "uploader_core", "reproduce", "published", "--json", "--jobs", "2",
         "--from", "adapter", "--base", "the base"],
        cwd=elsewhere, env=variables(elsewhere / "home"), capture_output=True, text=True,
        encoding="utf-8", umask=0o077, **who,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    differ = [v for v in found["artifacts"] if v["grade"] != "bit-equal"]
    assert not differ, json.dumps(differ, indent=1)
    assert done.returncode == 0
    assert len(found["artifacts"]) == 4 + 7
    # What it was made with is in the new manifest.
    manifest = json.loads((elsewhere / found["output"] / "upload_manifest.json").read_text())
    for step in manifest["steps"]:
        if step["kind"] == "merged-16bit":
            print(step["environment"], "another user" if who else "the same user")
