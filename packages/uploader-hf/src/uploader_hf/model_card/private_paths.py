"""Paths of a person's machine in what they wrote: of each only its last part is published."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Where people keep homes, data and scratch. Other absolute paths, such as /usr/bin, are the same
# everywhere and say nothing.
_ROOTS = (
    "home|Users|root|mnt|media|data\\d*|workspace|work|scratch|tmp|private|nfs|gpfs|lustre|projects?"
    "|content/drive|kaggle|export|fsx|raid|ssd|storage|var/tmp|autodl-tmp|srv|ephemeral"
)
_PATH = re.compile(
    rf"(?<![\w./:~-])(?:file://)?/(?:{_ROOTS})/[^\s\"'`<>|()\[\],;*]+"
    r"|(?<![\w/])(?:file:///)?[A-Za-z]:[\\/](?:[^\s\"'`<>|()\[\],;*]+)"
    r"|\\\\[\w.-]+\\[^\s\"'`<>|()\[\],;*]+"
)


def private_paths(text: str) -> Iterator[str]:
    """Yield the paths in a text that tell about a person or a machine."""
    for match in _PATH.finditer(text):
        yield match[0].rstrip(".:!?")


def without_private_paths(text: str) -> str:
    """Return a text in which the last part stands for each such path."""

    def last(match: re.Match[str]) -> str:
        path = match[0].rstrip(".:!?")
        name = re.split(r"[\\/]", path.rstrip("\\/"))[-1]
        return name + match[0][len(path) :]

    return _PATH.sub(last, text)
