"""Remember what was proved, in the user's cache: a plan and its run pay once.

A file for each subject, named by its digest. It holds names of tensors and of tokens, and
no paths, no names of models and no weights. Losing it costs seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import parse_json
from uploader_merged.load_proof.subject import Outcome

VARIABLE = "UPLOADER_LOAD_PROOFS"
"""Environment variable that names another folder."""

_KEPT = 200


def recall(digest: str) -> Outcome | None:
    """Return what was found out before, None for nothing."""
    try:
        return Outcome.from_json(recall_data(digest) or {})
    except (ValueError, KeyError, TypeError):
        return None


def remember(digest: str, outcome: Outcome) -> None:
    """Keep an outcome, unless it may be another one tomorrow."""
    if outcome.lasting:
        remember_data(digest, outcome.to_json())


def recall_data(digest: str) -> Mapping[str, Any] | None:
    """Return what was kept under a digest, None for nothing."""
    try:
        data = parse_json((_folder() / f"{digest}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def remember_data(digest: str, data: Mapping[str, Any]) -> None:
    """Keep plain data. Failing to keep it is no failure."""
    folder = _folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=folder, suffix=".partial")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file)
        Path(partial).replace(folder / f"{digest}.json")
        known = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in known[:-_KEPT]:
            path.unlink()


def _folder() -> Path:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("uploader", appauthor=False) / "load_proofs"
