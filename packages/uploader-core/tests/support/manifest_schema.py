"""The JSON Schema of manifests, as a test asks it."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import uploader_core

SCHEMAS = Path(uploader_core.__file__).parent / "manifest" / "schemas"


@functools.cache
def _schema(closed: bool) -> dict[str, Any]:
    text = (SCHEMAS / "uploader.manifest-1.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text, object_hook=_closed if closed else None)
    return schema


def _closed(part: dict[str, Any]) -> dict[str, Any]:
    """Let a schema refuse members that it does not describe; metadata demands none, and is open."""
    has_members = isinstance(part.get("properties"), dict) and "required" in part
    return {**part, "additionalProperties": False} if has_members else part


@functools.cache
def _validator(closed: bool) -> Any:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(_schema(closed))
    return Draft202012Validator(_schema(closed))


def schema_problems(manifest: Any, *, closed: bool = True) -> list[str]:
    """Say where a manifest is not what the schema says.

    Args:
        manifest: Parsed JSON.
        closed: Also name the members that the schema does not describe: what we write has none.
    """
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in _validator(closed).iter_errors(manifest)
    ]


def written_manifests(folder: Path) -> list[Path]:
    """Return the manifests that runs wrote into release folders below a folder."""
    found = []
    # Path.rglob fails where a process that a test left removes a folder meanwhile.
    for place, folders, names in os.walk(folder):
        path = Path(place)
        if ".uploader" in folders:
            found.append(path / "upload_manifest.json")
        if path.parts[-3:-1] == (".uploader", "manifests"):
            found += [path / name for name in names if name.endswith(".json")]
    return [path for path in found if path.is_file()]
