"""The metadata at the top of a model card: YAML between two lines of dashes."""

from __future__ import annotations

import re
from typing import Any


def split_card(text: str) -> tuple[str | None, str]:
    """Return (YAML, rest) of a card; None for a card without metadata."""
    head = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    return (None, text) if head is None else (head[1], text[head.end() :])


def card_metadata(text: str) -> dict[str, Any]:
    """Return the metadata of a card; nothing where there are none or they cannot be read."""
    return load_metadata(split_card(text)[0] or "")


def load_metadata(head: str) -> dict[str, Any]:
    """Return a card's YAML as a mapping; nothing where it is none."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    try:
        data = yaml.safe_load(head)
    except yaml.YAMLError:
        return {}
    return {str(k): v for k, v in data.items()} if isinstance(data, dict) else {}
