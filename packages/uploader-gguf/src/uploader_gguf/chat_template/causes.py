"""What llama.cpp silently changes before it renders.

A difference is explained when transformers, given the input that llama.cpp makes of a conversation,
writes llama.cpp's prompt byte for byte. What follows for the people who run the model is in
:mod:`.notes`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations, islice
from typing import Any

from uploader_gguf.chat_template.probes import (
    BLANK,
    FRACTION,
    HIGHEST,
    LARGE,
    LOWEST,
    WHOLE,
    Message,
    Probe,
    with_text_arguments,
)
from uploader_gguf.chat_template.reference import Reference, Refusal, at_no_time

_AT_ONCE = 5
"""Causes that a difference can have together."""

_MOST = 400
"""Sets of causes that are tried; published templates need a fifth of them."""

# A character of private use, which no tokenizer's template trims.
_KEPT = "\ue000"


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a template is rendered with.

    Attributes:
        messages: Of the conversation.
        tools: Given with it.
        variables: More that the template sees.
    """

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One thing that llama.cpp does by itself.

    Attributes:
        kind: A key of :data:`uploader_gguf.chat_template.notes.NOTES`.
        before: Does it to the input.
        after: Does it to the prompt.
    """

    kind: str
    before: Callable[[Given], Given] = lambda given: given
    after: Callable[[str], str] = lambda text: text


def _each(change: Callable[[Message], Message]) -> Callable[[Given], Given]:
    return lambda given: replace(given, messages=tuple(map(change, given.messages)))


def _parts(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return {**message, "content": [{"type": "text", "text": content}]}


def _joined(given: Given) -> Given:
    """Put a system prompt before the first turn of the user."""
    first, *others = given.messages
    if first["role"] != "system" or not others:
        return given
    content = f"{first['content']}\n{others[0]['content']}"
    return replace(given, messages=({**others[0], "content": content}, *others[1:]))


def _with(**variables: Any) -> Callable[[Given], Given]:
    return lambda given: replace(given, variables={**given.variables, **variables})


def _in_six_digits(*numbers: float) -> Callable[[str], str]:
    """Write numbers as ``tojson`` of llama.cpp does, which is C's ``%g``."""

    def written(text: str) -> str:
        for number in numbers:
            text = text.replace(repr(number), f"{number:g}")
        return text

    return written


def _today(given: Given) -> Given:
    now = datetime.now()
    dates = {"date_string": now.strftime("%d %b %Y"), "datetime": now.strftime("%b %d %Y")}
    return _with(**dates)(given)


def _without(name: str) -> Callable[[Message], Message]:
    return lambda message: {k: v for k, v in message.items() if k != name}


def _trimmed(message: Message) -> Message:
    return {**message, "content": message["content"].strip()}


def _without_empty_content(message: Message) -> Message:
    return message if message["content"] else _without("content")(message)


def _in_blocks(message: Message) -> Message:
    """Give reasoning and text as blocks of a content, as for Mistral's models that reason."""
    if message["role"] not in ("system", "assistant"):
        return message
    blocks = [{"type": "text", "text": message["content"]}]
    if "reasoning_content" in message:
        blocks.insert(0, {"type": "thinking", "thinking": message["reasoning_content"]})
    return {**_without("reasoning_content")(message), "content": blocks}


def _with_results(given: Given) -> Given:
    """Put calls, their results and the answer into one message, as for Gemma 4."""
    messages: list[Message] = []
    for message in given.messages:
        called = bool(messages and messages[-1].get("tool_calls"))
        if called and message["role"] == "tool":
            name = messages[-1]["tool_calls"][0]["function"]["name"]
            result = {"name": name, "response": message["content"]}
            messages[-1] = {**_without_empty_content(messages[-1]), "tool_responses": [result]}
        elif called and message["role"] == "assistant":
            messages[-1] = {**messages[-1], "content": message["content"]}
        else:
            messages.append(message)
    return replace(given, messages=tuple(messages))


_CAUSES = (
    Cause(kind="numbers", after=_in_six_digits(LOWEST, HIGHEST)),
    Cause(kind="numbers", after=_in_six_digits(FRACTION, WHOLE)),
    Cause(kind="numbers", after=lambda text: text.replace(str(LARGE), str(LARGE - 1))),
    Cause(kind="nulls", after=lambda text: text.replace("None", "")),
    Cause(kind="parts", before=_each(_parts)),
    Cause(kind="dates", before=_today),
    Cause(
        kind="arguments",
        before=lambda given: replace(given, messages=tuple(with_text_arguments(given.messages))),
    ),
    Cause(
        kind="blanks",
        before=_each(lambda m: {**m, "content": m["content"].replace(BLANK, _KEPT)}),
        after=lambda text: text.replace(_KEPT, BLANK),
    ),
    Cause(kind="html", after=html.unescape),
    Cause(kind="reasoning", before=_each(_without("reasoning_content"))),
    Cause(kind="system", before=_joined),
    Cause(kind="handler", before=_each(_trimmed)),
    Cause(kind="handler", before=_each(_in_blocks)),
    Cause(kind="handler", before=_with_results),
    Cause(kind="empty", before=_each(_without_empty_content)),
)
_THINKING = tuple(
    Cause(kind="thinking", before=_with(enable_thinking=switch)) for switch in (True, False)
)


def given_to(probe: Probe, reference: Reference, variables: dict[str, Any]) -> Given:
    """Return a probe in the form that the model was trained with."""
    given = Given(messages=probe.messages, tools=probe.tools, variables=variables)
    return _each(_parts)(given) if reference.takes_parts else given


def render(reference: Reference, given: Given) -> str | Refusal:
    """Return the prompt that transformers writes."""
    return reference.render(given.messages, given.tools, **given.variables)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why two prompts differ.

    Attributes:
        kinds: What llama.cpp did by itself, as few things as explain it; empty when nothing that
            is known does.
        nearest: Of all that transformers writes for such inputs, what agrees with llama.cpp's
            prompt for longest; at no time of the day.
    """

    kinds: tuple[str, ...]
    nearest: str


def explain(
    reference: Reference, probe: Probe, variables: dict[str, Any], theirs: str
) -> Explanation:
    """Find what llama.cpp did to a conversation by itself.

    Args:
        reference: The model's tokenizer.
        probe: The conversation.
        variables: What was said with it (``enable_thinking``).
        theirs: llama.cpp's prompt.
    """
    given, theirs = given_to(probe, reference, variables), at_no_time(theirs)
    possible = _CAUSES if variables else (*_THINKING, *_CAUSES)
    plain = _rendered(reference, given, ())
    # Null is written by arguments of tool calls; in plain text None comes from the template.
    possible = tuple(c for c in possible if c.kind != "nulls" or not probe.ordinary)
    if _rendered(reference, given, ()) != plain:  # it writes microseconds, or the like
        possible = ()
    acting = [cause for cause in possible if _rendered(reference, given, (cause,)) != plain]
    nearest = plain if isinstance(plain, str) else ""
    for causes in islice(_combined(acting), _MOST):
        text = _rendered(reference, given, causes)
        if text == theirs:
            kinds = tuple(dict.fromkeys(cause.kind for cause in causes))
            return Explanation(kinds=kinds, nearest=theirs)
        if isinstance(text, str) and first_difference(text, theirs) > first_difference(
            nearest, theirs
        ):
            nearest = text
    return Explanation(kinds=(), nearest=nearest)


def first_difference(ours: str, theirs: str) -> int:
    """Return where two texts part."""
    pairs = zip(ours, theirs, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))


def _combined(causes: list[Cause]) -> Iterator[tuple[Cause, ...]]:
    for count in range(1, min(len(causes), _AT_ONCE) + 1):
        yield from combinations(causes, count)


def _rendered(reference: Reference, given: Given, causes: tuple[Cause, ...]) -> str | Refusal:
    for cause in causes:
        try:
            given = cause.before(given)
        except (AttributeError, KeyError):  # a message is no text any more
            return Refusal(why=cause.kind)
    text = render(reference, given)
    for cause in causes:
        text = cause.after(text) if isinstance(text, str) else text
    return at_no_time(text)
