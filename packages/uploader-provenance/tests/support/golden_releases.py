"""Releases that earlier versions made, as core keeps them."""

from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).parents[3] / "uploader-core" / "tests" / "manifest" / "golden"
SOURCE, BASE = GOLDEN / "source" / "run" / "final_model", GOLDEN / "source" / "base"
RELEASES = sorted(GOLDEN.glob("20*"))
