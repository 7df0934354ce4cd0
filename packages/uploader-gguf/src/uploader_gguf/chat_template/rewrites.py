"""Rewrites of a template that leave the bytes of transformers equal and heal llama.cpp.

Each is tried on both engines before it counts, see :mod:`.settle`; here they are only made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from uploader_gguf.chat_template.loop_scope import local_names

_OPENING = re.compile(r"[^{]*?(?=\{[%#])", re.DOTALL)
_COMMENT = re.compile(r"\{#([-+]?).*?([-+]?)#\}", re.DOTALL)
# What transformers gives a template as none, and llama.cpp not at all.
_NONE = re.compile(
    r"(?<![\w.\"'\]])(?P<name>tools|documents)\s+(?:is\s+(?P<is>not\s+)?|(?P<equals>[!=]=)\s*)"
    r"[nN]one\b"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """A change of a template.

    Attributes:
        name: Kept in records.
        said: What it does, for people.
        apply: Returns the template with it; the same one where there is nothing to do.
    """

    name: str
    said: str
    apply: Callable[[str], str]


def _line_ends(template: str) -> str:
    return template.replace("\r\n", "\n").replace("\r", "\n")


def _first_character(template: str) -> str:
    """Print the text before the first tag by an expression, which llama.cpp does not trim.

    It cuts text of one line before a statement as if it were an indent.
    """
    match = _OPENING.match(template)
    text = match[0] if match else ""
    if not text or "\n" in text[1:] or text[1:].strip():
        return template
    # As Jinja2 does with an indent (``lstrip_blocks``).
    kept = "\n" if text[0] == "\n" else text if text.strip() else ""
    quoted = kept.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{ '{quoted}' }}}}{template[len(text) :]}" if kept else template


def _defined(template: str) -> str:
    def changed(match: re.Match[str]) -> str:
        given = bool(match["is"]) or match["equals"] == "!="
        return match["name"] if given else f"(not {match['name']})"

    return _NONE.sub(changed, template)


def _without_comments(template: str) -> str:
    return _COMMENT.sub(r"{#\1 \2#}", template)


LINE_ENDS = Rewrite(
    name="line-ends", said="line ends are LF, as transformers reads them", apply=_line_ends
)
"""Done whenever there is something to do: other engines keep a CR that transformers does not."""

REWRITES = (
    Rewrite(
        name="first-character",
        said="the text before the first tag is printed by an expression: llama.cpp drops its first"
        " character",
        apply=_first_character,
    ),
    Rewrite(
        name="tools-none",
        said="tools are asked for by their truth: llama.cpp leaves them undefined, not none",
        apply=_defined,
    ),
    Rewrite(
        name="loop-names",
        said="names that a loop sets are its own: llama.cpp keeps them after the loop",
        apply=local_names,
    ),
    Rewrite(
        name="comments",
        said="comments are empty: llama.cpp takes words in them for marks of another model",
        apply=_without_comments,
    ),
)
"""Done where llama.cpp is wrong without and right with them."""

BY_NAME = {
    **{rewrite.name: rewrite.said for rewrite in (LINE_ENDS, *REWRITES)},
    "ollama-family": "a comment keeps Ollama from taking another template, of a family, instead",
    "add-bos": "no token that begins a text is put before a prompt, as in training",
    "add-eos": "no token that ends a text is put behind a prompt",
}
"""What each does, for people."""
