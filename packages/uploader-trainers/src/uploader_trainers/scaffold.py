"""The three wrappers of a trainer."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from uploader_core.api import RefusedError, UsageError

FILES = ("src/upload_to_hf.py", "upload_model.sh", "upload_model.ps1")


def wrapper(name: str) -> bytes:
    """Return the content of a wrapper, one of :data:`FILES`."""
    found = resources.files("uploader_trainers").joinpath("wrappers")
    for part in name.split("/"):
        found = found.joinpath(part)
    return found.read_bytes()


def write_wrappers(folder: Path) -> list[Path]:
    """Write the wrappers into a trainer's folder.

    Args:
        folder: Made when it is not there.

    Returns:
        The files.

    Raises:
        UsageError: The folder's name is none for a trainer.
        RefusedError: A wrapper of other content is there; nothing is written.
    """
    if not re.fullmatch(r"\w[\w.-]*", folder.name):
        raise UsageError(
            f"{folder.name!r} is no name of a trainer",
            next="letters, digits, _ . and -, as in: uploader trainers new rtx3090_dpo",
        )
    for name in FILES:
        path = folder / name
        if path.exists() and path.read_bytes() != wrapper(name):
            raise RefusedError(
                f"{path} is there already and is another",
                safe="nothing was written",
                next=f"move it away: {path.name}.old",
            )
    written = []
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wrapper(name))
        if path.suffix == ".sh":
            path.chmod(0o755)
        written.append(path)
    return written
