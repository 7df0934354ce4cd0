"""Where the sound folders have their bases, and how their JSON is written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path


def snapshot_of(name: str) -> Path:
    """Return the folder of a model in the cache that ``HF_HOME`` names."""
    sha = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    repository = Path(os.environ["HF_HOME"]) / "hub" / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(sha)
    folder = repository / "snapshots" / sha
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(path: Path, data: object) -> None:
    """Write a JSON file as publishers do."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None takes a key out."""
    data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    write(path, {k: v for k, v in {**data, **changes}.items() if v is not None})
