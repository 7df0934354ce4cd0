"""Layers and configuration of a model in Ollama's form; the same release gives the same bytes."""

from __future__ import annotations


def human_number(count: int) -> str:
    """Return a number of weights as Ollama writes it (``format/format.go``, ``HumanNumber``)."""
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)
