"""uploader for trainers: wrappers, a callback, notebooks, and questions on a terminal."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Preview": "results",
    "Release": "results",
    "UploaderCallback": "callback",
    "plan": "api",
    "run": "api",
}

__all__ = ["Preview", "Release", "UploaderCallback", "plan", "run"]


def __getattr__(name: str) -> Any:
    # The callback imports transformers; the wrappers and the terminal must not.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
