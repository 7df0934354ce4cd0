"""What the tests of signatures share."""

from __future__ import annotations

import shutil
from pathlib import Path

SIGN = ("--provenance-key", "keys/signing.pem")


def moved(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a folder elsewhere."""
    place = tmp_path / "moved"
    shutil.copytree(folder, place, symlinks=True)
    return place
