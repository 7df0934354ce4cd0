"""JSON files that tests change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def edit_json(path: Path, **changes: object) -> None:
    """Change keys of a JSON file."""
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**data, **changes}), "utf-8")
