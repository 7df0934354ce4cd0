"""A worker that is watched: what it writes, and whom it talks to.

``python -m uploader_kit.guard`` is ``python -m uploader_core.workers.child`` with an audit hook
(PEP 578) in front. It sees what Python code does; :mod:`uploader_kit.trial` also compares
folders before and after, for what native code does.
"""

# ruff: noqa: PTH100, PTH118, PTH119

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

VARIABLE = "UPLOADER_TESTING_GUARD"
"""JSON: ``log`` (file for violations), ``roots`` (folders that may be written), ``network``."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1,
            "os.symlink": 1, "os.truncate": 0, "shutil.rmtree": 0}  # fmt: skip
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
_HARMLESS = ("/dev/", "/proc/", "\\\\.\\")


def _hook(
    log: int, roots: tuple[str, ...], network: bool
) -> Callable[[str, tuple[object, ...]], None]:
    inside = False

    def may_write(path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a file that is open already
        name = os.path.abspath(os.fsdecode(path))
        return (
            name.startswith((*_HARMLESS, *roots))
            or name in (os.devnull, *(root.rstrip(os.sep) for root in roots))
            or os.path.basename(name).startswith(".coverage")
        )

    def note(text: str) -> None:
        os.write(log, (text + "\n").encode("utf-8", "replace"))

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal inside
        if inside:
            return
        inside = True
        try:
            if event == "open":
                flags = arguments[2]
                if isinstance(flags, int) and flags & _WRITING and not may_write(arguments[0]):
                    note(f"writes {os.fsdecode(arguments[0])}")  # type: ignore[arg-type]
            elif event in _CHANGES:
                path = arguments[_CHANGES[event]]
                if not may_write(path):
                    note(f"{event} {path!r}")
            elif event in _NETWORK and not network:
                where = arguments[-1] if event == "socket.connect" else arguments[:2]
                if isinstance(where, (str, bytes)):
                    return  # a socket in the file system
                note(f"{event} {where!r}")
                raise PermissionError(f"{event} {where!r}: this step must not need a network")
        finally:
            inside = False

    return hook


def main() -> int:
    """Install the hook, then serve one request as the worker does."""
    rules = json.loads(os.environ.pop(VARIABLE))
    log = os.open(rules["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    roots = tuple(os.path.join(os.path.abspath(root), "") for root in rules["roots"])
    sys.addaudithook(_hook(log, roots, bool(rules["network"])))
    from uploader_core.workers.child import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
