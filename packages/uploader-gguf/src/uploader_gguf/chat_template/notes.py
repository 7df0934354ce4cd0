"""What people who run a model have to know of its chat template, and cannot be put right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_gguf.chat_template.rewrites import BY_NAME

KEY = "chat_template"
"""In the artifact's metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One difference that stays.

    Attributes:
        kind: A key of :data:`NOTES`.
        said: For the log and the card.
        probes: The conversations that showed it.
    """

    kind: str
    said: str
    probes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "said": self.said, "probes": list(self.probes)}


NOTES: Mapping[str, str] = {
    "thinking": "llama.cpp switches thinking by itself, which transformers leaves to the template",
    "numbers": "llama.cpp writes numbers of tools and their calls in another way: 1299999.99 as"
    " 1.3e+06, 7301.0 as 7301; let tools take such numbers as text",
    "prefill": "a conversation whose last turn is the assistant's is cut at the wrong place when"
    " llama.cpp continues it; end it with a turn of the user",
    "parts": "llama.cpp gives the template the content of messages as a list of parts, not as text",
    "dates": "llama.cpp writes today's date where transformers writes none or the template's own;"
    " give date_string in chat_template_kwargs",
    "arguments": "llama.cpp gives the template arguments of tool calls as text, not as an object",
    "system": "the model was trained without system prompts; llama.cpp puts one before the first"
    " turn of the user",
    "nulls": "llama.cpp writes nothing where transformers writes None; leave null arguments away",
    "empty": "llama.cpp leaves the empty content of tool calls away",
    "reasoning": "llama.cpp drops the reasoning of earlier turns; the template reads another field",
    "blanks": "llama.cpp keeps blanks of other scripts (U+3000) around a text, which transformers"
    " trims; trim what users write",
    "handler": "llama.cpp takes the template for one of a model that it treats in its own way",
    "refused": "transformers itself does not render plain conversations with this template, so"
    " prompts were not compared",
    "error": "llama.cpp fails on conversations that transformers renders",
    "letters": "llama.cpp counts or changes bytes where the template counts or changes letters, so"
    " other letters than ASCII's differ",
    "tokens": "llama.cpp cuts the prompt into other tokens beside special ones",
    "html": "transformers escapes HTML in the prompt (`safe` in the template), llama.cpp does not",
    "unknown": "llama.cpp writes another prompt, for a cause that is not known",
    "transformers.js": "transformers.js, which runs in web pages, writes another prompt",
}
"""By kind; the page docs/chat-templates.md counts them in published templates."""


QUIET = frozenset({"numbers", "blanks", "prefill", "transformers.js"})
"""Kinds that most templates have, and that the card names without a warning."""


def note(kind: str, probes: Iterable[str], more: str = "") -> Note:
    """Return the note of a kind.

    Args:
        kind: A key of :data:`NOTES`.
        probes: The conversations that showed it.
        more: Follows what is said of every such difference.
    """
    return Note(kind=kind, said=NOTES[kind] + more, probes=tuple(dict.fromkeys(probes)))


def with_setting(switch: bool | None) -> str:
    """Return how to get the prompts of training from a server that switches thinking by itself."""
    if switch is None:
        return "; no setting of llama.cpp gives the prompts that transformers gives by default"
    setting = json.dumps({"enable_thinking": switch})
    return (
        "; for the prompts that transformers gives by default, set chat_template_kwargs to"
        f" `{setting}` (`llama-server --chat-template-kwargs '{setting}'`)"
    )


def section(metadata: Mapping[str, Any]) -> list[str]:
    """Return lines of a card; none where llama.cpp writes the prompts of transformers.

    Args:
        metadata: Of an artifact.
    """
    record = metadata.get(KEY)
    if not isinstance(record, Mapping):
        return []
    points = [
        *(f"In the GGUF, {BY_NAME[name]}." for name in record["rewritten"]),
        *(f"{_sentence(one['said'])} ({_which(one, record)})." for one in record["notes"]),
    ]
    if not points:
        return []
    head = (
        f"Chat prompts of {record['engine']} were compared with those of {record['reference']},"
        f" which the model was trained with, on {record['conversations']} conversations:"
    )
    return ["", head, "", *(f"- {point}" for point in points)]


def _which(one: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    every = len(one["probes"]) == record["conversations"]
    return "all of them" if every else ", ".join(one["probes"])


def _sentence(text: str) -> str:
    return (
        text[:1].upper() + text[1:] if not text.startswith(("llama.cpp", "transformers")) else text
    )
