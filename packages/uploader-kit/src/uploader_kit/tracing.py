"""What all processes of a step do, as strace saw it: programs that it starts, and native code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_CALLS = (
    *("open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir", "link", "linkat", "symlink", "symlinkat", "truncate"),
    *("connect", "sendto", "sendmsg"),
)
_LINE = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+|\?)")
# A call that waited while another process said something stands in two lines.
_BEGUN = re.compile(r"^(\d+)\s+(\w+\(.*?),? *<unfinished \.\.\.>")
_RESUMED = re.compile(r"^(\d+)\s+<\.\.\. \w+ resumed>(.*)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>, ")
_ADDRESS = re.compile(r"sa_family=AF_INET6?, .*?port=htons\((\d+)\).*?\"([^\"]+)\"")
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_HARMLESS = ("/dev/", "/proc/", "/sys/")


def command(log: str) -> list[str]:
    """Return what stands before a command to trace it.

    Args:
        log: File that gets the trace.
    """
    calls = ",".join(f"?{name}" for name in _CALLS)
    return ["strace", "-f", "-y", "--seccomp-bpf", "-e", f"trace={calls}", "-o", log]


def written(log: Path, roots: Sequence[Path]) -> list[str]:
    """Return the paths outside some folders that a traced step changed.

    Args:
        log: The trace.
        roots: Folders that may be written.
    """
    allowed = (*_HARMLESS, *(str(root) + os.sep for root in roots))
    found: dict[str, None] = {}
    for name, arguments in _calls(log):
        if name in ("connect", "sendto", "sendmsg"):
            continue
        if name in ("open", "openat", "openat2") and not _WRITES.search(arguments):
            continue
        texts = [_plain(text) for text in _TEXT.findall(arguments)]
        if not texts:
            continue
        # What is made, renamed or linked is the last name; the rest have only one.
        folder = _FOLDER.match(arguments)
        path = os.path.normpath(os.path.join(_plain(folder[1]) if folder else "/", texts[-1]))  # noqa: PTH118
        harmless = path.startswith(allowed) or path in {str(root) for root in roots}
        if not harmless and not os.path.basename(path).startswith(".coverage"):  # noqa: PTH119
            found[path] = None
    return [*found]


def addresses(log: Path) -> list[str]:
    """Return the addresses of a network that a traced step asked."""
    found: dict[str, None] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = _ADDRESS.search(line)
            # Port 0 is asked of no network: a library looks which way a packet would go.
            if match is not None and match[1] != "0":
                found[f"{match[2]} port {match[1]}"] = None
    return [*found]


def _calls(log: Path) -> Iterator[tuple[str, str]]:
    """Yield name and arguments of every call that succeeded."""
    begun: dict[str, str] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if (first := _BEGUN.match(line)) is not None:
                begun[first[1]] = first[2]
                continue
            if (rest := _RESUMED.match(line)) is not None:
                line = f"{rest[1]} {begun.pop(rest[1], '')}{rest[2]}"
            match = _LINE.match(line)
            if match is not None and not match[3].startswith("-"):
                yield match[1], match[2]


def _plain(text: str) -> str:
    """Return a name that strace wrote with its bytes in octal."""
    raw = text.encode("utf-8", "surrogateescape").decode("unicode_escape")
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")
