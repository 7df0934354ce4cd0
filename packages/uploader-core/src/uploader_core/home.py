"""``~`` in names of folders that people type."""

from __future__ import annotations

from pathlib import Path

from uploader_core.errors import UsageError


def from_home(path: str | Path, *, typed: bool = True) -> Path:
    """Return a path with ``~`` or ``~name`` at its beginning replaced by that home.

    Args:
        path: As somebody wrote it.
        typed: Whether that was the user. A name in a file of somebody else is returned as it is
            where it is nobody's.

    Raises:
        UsageError: Nobody on this machine has that name.
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        if not typed:
            return path
        who = path.parts[0]
        raise UsageError(
            f"nobody on this machine has a home that is called {who}",
            owner=str(path),
            safe="nothing was written",
            next=f"write the whole path; a folder with that very name is ./{who}",
        ) from None


def is_there(value: object) -> bool:
    """Return whether a value of a setting names something on this machine."""
    try:
        return value not in (None, "") and from_home(str(value), typed=False).exists()
    except (OSError, ValueError):  # a text that is longer than any name
        return False
