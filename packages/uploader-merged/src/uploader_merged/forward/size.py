"""How many tokens a window of text has. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WINDOW = 512
"""Tokens that are read at once, from an empty context; fewer where a model takes fewer."""

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")

LONGEST = 64
"""Characters of a text that hold a token, and more, whatever language it is in."""


def window_size(config: Mapping[str, Any]) -> int:
    """Return how many tokens a window has.

    Args:
        config: ``config.json`` of the model; one without positions takes as many as there are.
    """
    text = config.get("text_config")
    said = text if isinstance(text, dict) else config
    known: list[int] = [said[key] for key in _POSITIONS if isinstance(said.get(key), int)]
    return min([WINDOW, *known])
