"""The template families of Ollama: which one it would take a chat template for, and how not.

``ollama create`` compares the chat template of every GGUF with the templates of
``template/index.json``, by edit distance. Below 100 it writes the Go template of that family beside
the file, also where the client asked for none (``server/model.go``, ``detectChatTemplate``;
``template/template.go``, ``Named``), and then the file's own template is mostly not used. No
Modelfile can say "none". A comment in the template can: each of its characters that occurs in no
family costs an edit, and no engine prints it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2.environment import Environment

BELOW = 100
"""Ollama takes a template for a family's when fewer edits than this lie between them."""

_MARK = "~"  # occurs in no template of any family
# Ollama, too, reads capabilities from words in the template, so the text must not have any that
# it looks for: tools, tool_call, <think> (server/images.go, chatTemplateHasToolSupport).
_WHY = "Not one of the known families: this line keeps Ollama from using another template instead. "
_COMMENT = _WHY + _MARK * (BELOW + 28)


def family_of(jinja: str) -> str | None:
    """Name the family that Ollama would take a chat template for.

    Args:
        jinja: The template as it stands in a GGUF, ``tokenizer.chat_template``.

    Returns:
        The family of the nearest template, None when none is near enough.
    """
    from rapidfuzz.distance import Levenshtein

    nearest, least = None, BELOW
    for name, template in _families():
        edits = Levenshtein.distance(jinja, template, score_cutoff=least)
        if edits < least:  # like Ollama, the first of several that are as near
            nearest, least = name, edits
    return nearest


def kept_apart(jinja: str) -> str:
    """Add a comment that keeps Ollama from taking a template for a family's.

    The comment stands as near to the end as it can without changing what Jinja2 reads: the tokens
    of both templates are equal, so every conversation renders to the same bytes. (As transformers
    sets Jinja2, with ``trim_blocks`` and ``lstrip_blocks``, a comment can swallow a line end or
    blanks.)

    Args:
        jinja: The template.

    Returns:
        The template with the comment; as it was when no family is near.

    Raises:
        ValueError: Jinja2 cannot read the template.
    """
    if family_of(jinja) is None:
        return jinja
    from jinja2 import TemplateSyntaxError

    try:
        read = _read(jinja)
    except TemplateSyntaxError as error:
        raise ValueError(f"the chat template is not Jinja: {error}") from error
    for candidate in _candidates(jinja):
        try:
            if _read(candidate) == read:
                return candidate
        except TemplateSyntaxError:  # the comment fell into a tag
            continue
    raise ValueError("the chat template has no place for a comment")


@functools.cache
def _families() -> tuple[tuple[str, str], ...]:
    data = json.loads(
        resources.files(__package__).joinpath("ollama_families.json").read_text("utf-8")
    )
    return tuple((family["name"], family["template"]) for family in data["families"])


def _candidates(jinja: str) -> Iterator[str]:
    for place in range(len(jinja), -1, -1):
        for opening, closing in (("{# ", " #}"), ("{# ", " -#}"), ("{#- ", " -#}")):
            yield jinja[:place] + opening + _COMMENT + closing + jinja[place:]


def _read(jinja: str) -> list[tuple[str, object]]:
    """Return the tokens that Jinja2 compiles, texts that follow one another as one."""
    tokens: list[tuple[str, object]] = []
    for token in _environment().lexer.tokenize(jinja):
        if token.type == "data" and tokens and tokens[-1][0] == "data":
            tokens[-1] = ("data", f"{tokens[-1][1]}{token.value}")
        else:
            tokens.append((token.type, token.value))
    return tokens


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment

    # Only the lexer is used; these are the settings with which transformers compiles templates.
    return Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
