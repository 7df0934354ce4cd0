"""A Go template that says what a Jinja one says, where there is one.

Ollama renders prompts with Go's ``text/template``. Most chat templates are a chain: what stands
before a message depends on its role and on the role before it, and on nothing else. Such a chain
is read off a few renders with marks in them, written as a Go template, and then tried: it is given
out only when it renders every conversation of a list to the same bytes. Tools and reasoning are
not part of it; Ollama itself prefers the Jinja template of a file that has them
(``shouldPreferChatTemplate`` in its ``server/images.go``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Render = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Makes the prompt of a conversation, with the beginning of the answer; None: it refuses."""

_MARKS = ("Mfirst1m", "Msecond2m", "Mthird3m", "Mfourth4m")
_USER, _ASSISTANT, _SYSTEM = "user", "assistant", "system"
_NONE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """What stands before each message, and after the last.

    Attributes:
        before: Text by the role before ("" at the beginning) and the role. A role that is not in
            it is left away, as templates do that know no system prompt.
        end: After the last message of the user: what ends it and begins the answer.
    """

    before: Mapping[tuple[str, str], str]
    end: str

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """Return the prompt as Go makes it of :meth:`to_go`; None for a step that is unknown."""
        known = {role for _, role in self.before}
        parts, last = [], _NONE
        for message in messages:
            if message["role"] not in known:
                continue
            text = self.before.get((last, message["role"]))
            if text is None:
                return None
            parts += [text, message["content"]]
            last = message["role"]
        return "".join([*parts, self.end])

    def to_go(self) -> str:
        """Return it as a Go template, for Ollama's ``.Messages``."""
        roles: dict[str, list[tuple[str, str]]] = {}
        for (last, role), text in self.before.items():
            roles.setdefault(role, []).append((last, text))
        cases = []
        for role, steps in roles.items():
            chosen = _chosen([(f'eq $last "{last}"', _literal(text)) for last, text in steps])
            said = chosen + "{{ .Content }}{{ $last = .Role }}"
            cases.append((f'eq .Role "{role}"', said))
        body = _chosen(cases, all_known=False)
        start = '{{ $last := "" }}{{ range .Messages }}'
        return start + body + "{{ end }}" + _literal(self.end)


def go_template(
    render: Render, conversations: Iterable[Sequence[Mapping[str, Any]]], *, bos: str = ""
) -> str | None:
    """Return a Go template with the bytes of a Jinja template.

    Args:
        render: The Jinja template.
        conversations: Of plain text, ending with the user, on which both have to agree. Those that
            ``render`` refuses do not count.
        bos: Text that the server puts before each prompt by itself, "" for none. The Go template
            leaves it out.

    Returns:
        None when the template is no such chain, or differs somewhere.
    """

    def plain(messages: Sequence[Mapping[str, Any]]) -> str | None:
        text = render(messages)
        if text is None or not text.startswith(bos):
            return None
        return text[len(bos) :]

    chain = _chain(plain)
    if chain is None:
        return None
    for messages in conversations:
        wanted = plain(messages)
        if wanted is None and render(messages) is None:
            continue
        if wanted is None or chain.render(messages) != wanted:
            return None
    return chain.to_go()


def _chain(render: Render) -> Chain | None:
    """Read a chain off renders of conversations of marks."""
    turns = _between(render, (_USER, _ASSISTANT, _USER))
    alone = _between(render, (_USER,))
    if turns is None or alone is None or turns[-1] != alone[-1] or turns[0] != alone[0]:
        return None
    before = {
        (_NONE, _USER): turns[0],
        (_USER, _ASSISTANT): turns[1],
        (_ASSISTANT, _USER): turns[2],
    }
    told = _between(render, (_SYSTEM, _USER))
    if told is not None and told[-1] == alone[-1]:
        before[_NONE, _SYSTEM], before[_SYSTEM, _USER] = told[0], told[1]
    later = _between(render, (_USER, _ASSISTANT, _SYSTEM, _USER))
    if later is not None and later[3] == before.get((_SYSTEM, _USER)):
        before[_ASSISTANT, _SYSTEM] = later[2]
    return Chain(before=before, end=alone[-1])


def _between(render: Render, roles: Sequence[str]) -> list[str] | None:
    """Return what stands before, between and after marks, or None where one is lost or moved."""
    marks = _MARKS[: len(roles)]
    text = render([{"role": r, "content": m} for r, m in zip(roles, marks, strict=True)])
    if text is None or any(text.count(mark) != 1 for mark in marks):
        return None
    found = re.split("|".join(marks), text)
    places = [text.index(mark) for mark in marks]
    return found if places == sorted(places) else None


def _literal(text: str) -> str:
    """Return text as a Go template that renders to it."""
    return text.replace("{{", '{{ "{{" }}')


def _chosen(cases: Sequence[tuple[str, str]], *, all_known: bool = True) -> str:
    """Return an ``if`` over cases; the last one is the ``else`` where there are no others."""
    texts = {text for _, text in cases}
    if all_known and len(texts) == 1:
        return texts.pop()
    parts = []
    for number, (condition, text) in enumerate(cases):
        last = all_known and number == len(cases) - 1
        word = "else" if last else ("else if " if number else "if ") + condition
        parts.append("{{ " + word + " }}" + text)
    return "".join(parts) + "{{ end }}"
