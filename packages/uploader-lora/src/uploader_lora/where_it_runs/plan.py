"""What the plan says of engines: one line for a format, and only where one will not take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uploader_core.plugin import Finding
from uploader_lora.task import Task
from uploader_lora.where_it_runs.verdicts import Verdict, generates

_SERVERS = ("vLLM", "SGLang", "Ollama")
"""What formats are released for; that llama.cpp reads GGUF alone, and MLX its own, is known."""


def planned(kind: str, verdicts: Iterable[Verdict], task: Task) -> Iterator[Finding]:
    """Yield a note where a server does not load a format, or not by itself.

    Args:
        kind: Of the artifact (``merged-16bit``).
        verdicts: On what will be made.
        task: What its model is for; of others than those that generate text nothing is known.
    """
    if not generates(task):
        return
    served = [v for v in verdicts if v.engine in _SERVERS and _is_meant_for(kind, v.engine)]
    refusing = [one for one in served if one.state == "not"]
    # Servers that say the same are named together.
    named: dict[str, list[str]] = {}
    for one in refusing:
        named.setdefault(one.because, []).append(_name(one))
    said = [f"{' and '.join(names)} will not load {kind}: {why}" for why, names in named.items()]
    said += [
        f"{_name(one)} loads {kind} with {one.needs} alone"
        for one in served
        if one.state == "with" and not one.needs.startswith("--")
    ]
    instead = dict.fromkeys(one.instead for one in refusing if one.instead)
    if said:
        yield Finding(level="note", what="; ".join(said), next="; ".join(instead) or None)


def _is_meant_for(kind: str, engine: str) -> bool:
    """Return whether a kind is brought to an engine; what others do with it is on the card."""
    return (engine == "Ollama") == kind.startswith("gguf")


def _name(one: Verdict) -> str:
    return f"{one.engine} {one.version}".strip()
