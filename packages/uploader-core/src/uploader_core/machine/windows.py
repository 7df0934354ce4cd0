"""What Windows takes as a name, and what it does while another program holds a file open."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import PureWindowsPath

LONGEST = 259
"""Characters of a path that programs without long paths can open."""

_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[1-9\u00b9\u00b2\u00b3])", re.I)
_BUSY = {5, 32, 33}
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION."""

# 2.6 seconds in all: as long as a virus scanner takes for a small file that it just saw appear.
PAUSES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)


def name_problem(name: str) -> str | None:
    """Say why Windows takes no file of a name; None when it does.

    Args:
        name: One part of a path.
    """
    bad = re.search(r'[<>:"/\\|?*\x00-\x1f]', name)
    if bad is not None:
        return f"has {bad[0]!r} in it"
    if name.endswith((".", " ")):
        return "ends with a dot or a space"
    # Windows looks at what stands before the first dot, spaces behind it aside.
    if _RESERVED.fullmatch(name.partition(".")[0].rstrip(" ")):
        return f"is {name.partition('.')[0].strip().upper()}, which is a device there"
    return None


def path_problems(root: str, names: Sequence[str], *, long_paths: bool) -> Iterator[str]:
    """Say which files of a release could not be made on Windows.

    Args:
        root: The release folder, absolute.
        names: Files below it, with forward slashes.
        long_paths: Whether the system has them switched on.
    """
    longest = max(names, key=len, default="")
    length = len(str(PureWindowsPath(root, longest)))
    if longest and not long_paths and length > LONGEST:
        yield f"{longest} would have a path of {length} characters, and Windows takes {LONGEST}"
    for name in names:
        for part in name.split("/"):
            problem = name_problem(part)
            if problem is not None:
                yield f"the name {part!r} {problem}"


def is_busy(error: OSError) -> bool:
    """Return whether another program holds the file open, such as a virus scanner."""
    return getattr(error, "winerror", None) in _BUSY


def patiently(action: Callable[[], object], pauses: Sequence[float] = PAUSES) -> None:
    """Do what fails while another program holds a file open, again after each pause.

    Raises:
        OSError: It still fails after the last pause, or for another reason.
    """
    for pause in pauses:
        try:
            action()
            return
        except OSError as error:
            if not is_busy(error):
                raise
        time.sleep(pause)
    action()
