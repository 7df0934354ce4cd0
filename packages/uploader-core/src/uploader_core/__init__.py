"""uploader: from a fine-tune's folder to a verified release. Core: specs, planner, runner, CLI."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":
        import importlib_metadata

        return importlib_metadata.version("uploader-core")
    raise AttributeError(name)
