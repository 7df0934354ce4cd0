"""The conversations that both engines render.

Each ends in a turn of the user, or in a tool's result: where the assistant's turn is last,
llama.cpp continues it, which transformers does only when asked. Texts are chosen so that a
difference tells what it comes from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

FRACTION, WHOLE, LARGE = 1299999.99, 7301.0, 9007199254740993
LOWEST, HIGHEST = 4207.0, 2500000.75
"""Numbers that engines write in ways of their own: of arguments, and of the tools' description.

No other text of the probes has their digits.
"""

BLANK = "\u3000"
"""A blank that Python's ``trim`` takes away."""

_ARGUMENTS = {
    "city": "Oslo",
    "limit": FRACTION,
    "count": 3,
    "whole": WHOLE,
    "large": LARGE,
    "exact": True,
    "note": None,
}
TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "weather_report",
            "description": "Tells the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city."},
                    "limit": {"type": "number", "minimum": LOWEST, "maximum": HIGHEST},
                },
                "required": ["city"],
            },
        },
    },
)
_CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "weather_report", "arguments": _ARGUMENTS},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A conversation.

    Attributes:
        name: Named in messages.
        messages: With tool arguments as objects, the form that transformers documents.
        tools: Given with it.
        ordinary: Plain text, in which a difference that nothing explains refuses.
    """

    name: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    ordinary: bool = True

    def contents(self) -> list[str]:
        """Return every text that somebody said, and that no engine may lose."""
        return [str(message["content"]).strip() for message in self.messages if message["content"]]


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


_SYSTEM: Message = {"role": "system", "content": "You answer in one short sentence."}
_RESULT: Message = {
    "role": "tool",
    "name": "weather_report",
    "tool_call_id": "call00001",
    "content": "Rain at noon.",
}
_ASKED = _user("What is the weather in Oslo?")

PROBES: tuple[Probe, ...] = (
    Probe(name="text", messages=(_user("Is 5 < 6 & \"seven\" > 'two'?"),)),
    Probe(name="system", messages=(_SYSTEM, _user("Name a river."))),
    Probe(
        name="turns",
        messages=(
            _user("Name a colour."),
            _assistant("Green."),
            _user("Another one, please."),
            _assistant("A darker blue."),
            _user("And a third?"),
        ),
    ),
    Probe(
        name="system and turns",
        messages=(_SYSTEM, _user("Name a tree."), _assistant("Oak."), _user("A taller tree?")),
    ),
    Probe(
        name="edges",
        messages=(
            _user("  Two blanks before and a line after.\n"),
            _assistant("\nA line before, a tab after.\t"),
            _user("\n\n- item\n    code\n\n"),
        ),
    ),
    Probe(
        name="letters",
        messages=(
            _user("Wie heißt 東京 auf naïve Art? 😀"),
            _assistant("Östlich, größer."),
            _user(f"{BLANK}ありがとう。{BLANK}"),
        ),
    ),
    Probe(
        name="reasoning",
        messages=(
            _user("What is 17 + 4?"),
            _assistant("It is 21.", reasoning_content="Seventeen and four make twenty-one."),
            _user("And one more?"),
        ),
        ordinary=False,
    ),
    Probe(name="tools", messages=(_SYSTEM, _ASKED), tools=TOOLS, ordinary=False),
    Probe(
        name="call",
        messages=(_ASKED, _assistant("", tool_calls=[_CALL]), _RESULT),
        tools=TOOLS,
        ordinary=False,
    ),
    Probe(
        name="call and turns",
        messages=(
            _ASKED,
            _assistant("", tool_calls=[_CALL]),
            _RESULT,
            _assistant("Rain in Oslo at noon."),
            _user("Thank you. And in Bergen?"),
        ),
        tools=TOOLS,
        ordinary=False,
    ),
)


def with_text_arguments(messages: tuple[Message, ...]) -> list[Message]:
    """Return messages whose tool calls have arguments as JSON text, the form of the API."""
    changed = []
    for message in messages:
        calls = [
            {
                **call,
                "function": {
                    **call["function"],
                    "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
                },
            }
            for call in message.get("tool_calls", ())
        ]
        changed.append({**message, "tool_calls": calls} if calls else message)
    return changed
