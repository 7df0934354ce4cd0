"""The metadata at the top of a model card: YAML between two lines of dashes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uploader_core.manifest_file import CARD
from uploader_core.model_files import leads_out
from uploader_core.untrusted_json import read_text

_LARGEST = 4 << 20
"""Characters; results of hundreds of benchmarks are in some."""
_MOST_PARTS, _DEEPEST = 200_000, 32


def split_card(text: str) -> tuple[str | None, str]:
    """Return (YAML, rest) of a card; None for a card without metadata."""
    head = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    return (None, text) if head is None else (head[1], text[head.end() :])


def read_card(folder: Path | None) -> str:
    """Return the card of a model's folder, "" where there is none that can be read.

    One that is a link to a file elsewhere is not the folder's own, and would publish that file.
    """
    if folder is None or leads_out(folder, folder / CARD):
        return ""
    try:
        return read_text(folder / CARD, errors="replace")
    except (OSError, ValueError):
        return ""


def card_metadata(text: str) -> dict[str, Any]:
    """Return the metadata of a card; nothing where there are none or they cannot be read."""
    return load_metadata(split_card(text)[0] or "")


def load_metadata(head: str) -> dict[str, Any]:
    """Return a card's YAML as a mapping; nothing where it is none.

    Whatever PyYAML raises for values of its types, such as a date without such a day, means that
    it is none; and so does what is larger, deeper or more often the same than any card.
    """
    import yaml  # type: ignore[import-untyped, unused-ignore]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if len(head) > _LARGEST:
        return {}
    try:
        _refuse_bomb(yaml.parse(head, loader))
        data = yaml.load(head, loader)  # noqa: S506 - a safe loader, in C where there is one
        json.dumps(data, default=str)  # has numbers of more digits than Python writes, or a circle
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return {}
    return {str(k): v for k, v in data.items()} if isinstance(data, dict) else {}


def _refuse_bomb(events: Iterable[Any]) -> None:
    """Refuse YAML that is more than it looks: what an alias stands for is counted each time.

    Raises:
        ValueError: It is too deep, has too many parts, or an alias stands within what it names.
    """
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    parts = 0
    for event in events:
        kind = type(event).__name__
        anchor = getattr(event, "anchor", None)
        if kind == "AliasEvent":
            if anchor not in sizes:  # its own, which is still open; or one that is not there
                raise ValueError("an alias that stands for itself")
            parts += sizes[anchor]
        elif kind == "ScalarEvent":
            parts += 1
            if anchor is not None:
                sizes[anchor] = 1
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            open_.append((anchor, parts))
            parts += 1
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            name, before = open_.pop()
            if name is not None:
                sizes[name] = parts - before
        if parts > _MOST_PARTS or len(open_) > _DEEPEST:
            raise ValueError("more than any card has")
