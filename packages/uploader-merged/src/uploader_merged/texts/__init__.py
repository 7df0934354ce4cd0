"""Texts to calibrate and to measure with: the user's file, or the one that comes along. Light."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from uploader_core.plugin import RefusedError

BUILTIN = "builtin"
"""What an option says for the text that comes with this package."""

CALIBRATION = "calibration.txt"
HELD_OUT = "heldout.txt"
"""Another one than :data:`CALIBRATION`: what is measured must not have been seen."""

_FEWEST_BYTES = 1000


def text_path(chosen: str, option: str, builtin: str) -> Path:
    """Return the text that was asked for.

    Args:
        chosen: A file, or :data:`BUILTIN`.
        option: That asked.
        builtin: :data:`CALIBRATION` or :data:`HELD_OUT`.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    if chosen == BUILTIN:
        return Path(str(resources.files(__package__).joinpath(builtin)))
    path = Path(chosen).expanduser()
    if not path.is_file() or path.stat().st_size < _FEWEST_BYTES:
        raise RefusedError(
            f"{path} is not a text of at least {_FEWEST_BYTES} bytes",
            owner=f"option {option}",
            safe="nothing was written",
            next=f"name a text like the model's task, or {BUILTIN}",
        )
    return path
