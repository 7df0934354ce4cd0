"""Make names that a template sets in a loop local to the loop.

In Jinja2 such a name is forgotten after each round, and what it was before the loop is seen again.
In llama.cpp's engine it stays. With a name of its own, that each round starts with the outer value,
both engines do what Jinja2 does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_TAG = re.compile(
    rf"\{{#.*?#\}}"
    rf"|\{{%[-+]?(?P<statement>(?:{_STRING}|(?!%\}})[^'\"])*)%\}}"
    rf"|\{{\{{(?:{_STRING}|(?!\}}\}})[^'\"])*\}}\}}",
    re.DOTALL,
)
_WORD = re.compile(r"\s*(\w+)")
_SETS = re.compile(r"^\{%[-+]?\s*set(\s+\w+\s*,)*$")
_TARGETS = re.compile(r"\s*set\s+(\w+(?:\s*,\s*\w+)*)\s*(?:=|\||[-+]?$)")


@dataclass(kw_only=True, slots=True)
class _Loop:
    """A loop of the source: where its body begins and ends, and what is set in it."""

    start: int
    closing: str
    names: dict[str, None]
    end: int = 0


def local_names(template: str) -> str:
    """Return a template in which no loop sets a name of the outside.

    Args:
        template: Source; one whose loops do not close comes back as it is.
    """
    at = 0
    while True:
        loop = next((loop for loop in _loops(template) if loop.start > at), None)
        if loop is None:
            return template
        at = loop.start
        for name in loop.names:
            template = _renamed(template, loop, name)


def _loops(template: str) -> list[_Loop]:
    """Return the loops in the order in which they begin; outer ones come first."""
    found: list[_Loop] = []
    open_loops: list[_Loop] = []
    for match in _TAG.finditer(template):
        statement = match["statement"] or ""
        word = _WORD.match(statement)
        if word is None:
            continue
        if word[1] == "for":
            closing = "-%}" if statement.endswith("-") else "%}"
            open_loops.append(_Loop(start=match.end(), closing=closing, names={}))
            found.append(open_loops[-1])
        elif word[1] == "endfor" and open_loops:
            open_loops.pop().end = match.start()
        elif word[1] == "set" and open_loops and (targets := _TARGETS.match(statement)):
            open_loops[-1].names |= dict.fromkeys(re.findall(r"\w+", targets[1]))
    return [loop for loop in found if loop.end and loop.names]


def _renamed(template: str, loop: _Loop, name: str) -> str:
    new = f"{name}_here"
    while new in template:
        new += "_"
    body = "".join(_with_name(template[loop.start : loop.end], name, new))
    first = f"{{% set {new} = {name} {loop.closing}"
    changed = template[: loop.start] + first + body
    rest = template[loop.end :]
    loop.end = len(changed)
    return changed + rest


def _with_name(body: str, name: str, new: str) -> Iterator[str]:
    """Yield a body piece by piece, a name in its tags replaced by another."""
    variable = re.compile(rf"{_STRING}|(?<!\w){re.escape(name)}(?!\w)", re.DOTALL)
    at = 0
    for tag in _TAG.finditer(body):
        yield body[at : tag.start()]
        text = tag[0]
        if not text.startswith("{#"):
            text = variable.sub(lambda m: new if _is_variable(m) else m[0], text)
        yield text
        at = tag.end()
    yield body[at:]


def _is_variable(match: re.Match[str]) -> bool:
    """Return whether a name in a tag is one, and no string, attribute, filter, test or keyword."""
    before, behind = match.string[: match.start()].rstrip(), match.string[match.end() :].lstrip()
    if match[0][0] in "'\"" or before.endswith((".", "|")) or re.search(r"\bis(\s+not)?$", before):
        return False
    keyword = behind.startswith("=") and not behind.startswith("==")
    return not keyword or _SETS.search(before) is not None
