"""Files that settings name: a step that read one has to run again when its bytes are others."""

from __future__ import annotations

from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.disk.safe_write import hash_file


def digest_named(path: Path, content: bool | tuple[str, ...]) -> Json:
    """Return the name of a file with its digest, or those of the files below a folder.

    Args:
        path: Of a file or a folder.
        content: Patterns of the files of a folder that count; True for all that are not hidden.
            What Python compiled is left out.
    """
    path = path.expanduser()
    if path.is_file():
        return [path.name, hash_file(path)[1]]
    patterns = content if isinstance(content, tuple) else ("*",)
    found = {file.relative_to(path) for pattern in patterns for file in path.rglob(pattern)}
    names = sorted(
        name.as_posix()
        for name in found
        if (path / name).is_file()
        and name.suffix != ".pyc"
        and not any(part.startswith(".") for part in name.parts)
    )
    return [[name, hash_file(path / name)[1]] for name in names]
