"""Chat templates that packages ship: TRL's, and llama.cpp's where its sources are."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "UPLOADER_LLAMA_CPP_TEMPLATES"
"""Names ``models/templates`` of llama.cpp's sources; ``nox -s chat_templates`` sets it."""


def published() -> dict[str, str]:
    """Return the templates by a name that says where each is from; line ends as they are there."""
    from importlib.util import find_spec

    folders = {}
    spec = find_spec("trl")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folders["trl"] = Path(place) / "chat_templates"
    if os.environ.get(VARIABLE):
        folders["llama.cpp"] = Path(os.environ[VARIABLE])
    return {
        f"{origin}: {path.stem}": path.read_bytes().decode("utf-8")
        for origin, folder in folders.items()
        for path in sorted(folder.glob("*.jinja"))
    }
