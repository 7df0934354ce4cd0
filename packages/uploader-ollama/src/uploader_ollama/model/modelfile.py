"""A Modelfile: written for ``ollama create``, and read back (``parser/parser.go``).

Ollama's reader drops characters that Go does not call printable, tabs outside of values included,
and knows no escapes: what stands between three quotes is the value as it is. So a text with three
quotes in it, or one that would lose characters, cannot be said and is refused; only in licences,
whose form feeds and unusual blanks mean nothing, such characters are replaced.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from uploader_core.plugin import IntegrityError, RefusedError
from uploader_ollama.model.recipe import Recipe, chosen

NAME = "Modelfile"
_QUOTES = '"""'
_COMMAND = re.compile(
    r"[ \t]*(?:(?P<comment>#[^\n]*)|(?P<name>[A-Za-z]+)[ \t]+"
    r"(?:(?P<parameter>(?<=PARAMETER )\w+)[ \t]+)?"
    r'(?:"""(?P<long>.*?)"""|"(?P<short>[^"]*)"|(?P<bare>[^\n]*?)))[ \t]*(?:\n|\Z)|\s+',
    re.DOTALL,
)


def write_modelfile(
    recipe: Recipe, files: Sequence[str], others: Sequence[str] = (), *, chats: bool = True
) -> str:
    """Return a Modelfile for files that lie beside it.

    Args:
        recipe: What to say besides.
        files: The model, and a projector where it has one.
        others: The same model in other kinds, for a comment.
        chats: Whether the file has a chat template.

    Raises:
        RefusedError: A text that no Modelfile can say.
    """
    lines = ["# ollama create NAME -f Modelfile"]
    lines += [f"FROM ./{name}" for name in files]
    lines += [f"# or FROM ./{name}" for name in others]
    for name, value in recipe.parameters.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"PARAMETER {name} {_quoted(one)}")
    if recipe.template:
        lines.append(f"TEMPLATE {_quoted(recipe.template)}")
    elif chats:
        lines.append("# no TEMPLATE: Ollama renders the chat template in the GGUF")
    if recipe.system:
        lines.append(f"SYSTEM {_quoted(recipe.system)}")
    if recipe.requires:
        lines.append(f"REQUIRES {recipe.requires}")
    lines += [f"LICENSE {_quoted(_plain(text))}" for text in recipe.licences]
    return "\n".join(lines) + "\n"


def read_modelfile(text: str) -> Recipe:
    """Read back what :func:`write_modelfile` wrote.

    Raises:
        IntegrityError: It is of another form.
    """
    options: list[str] = []
    values: dict[str, Any] = {}
    licences: list[str] = []
    for name, value in _commands(text):
        if name == "license":
            licences.append(value)
        elif name.startswith("parameter "):
            options.append(f"{name.partition(' ')[2]}={value}")
        elif name in ("system", "template", "requires"):
            values[name] = value
        elif name != "from":
            raise _unreadable(f"{name.upper()} is not known")
    return Recipe(parameters=chosen(options), licences=tuple(licences), **values)


def _commands(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _COMMAND.match(text, place)
        if found is None or found.end() == place:
            raise _unreadable(f"line {text.count(chr(10), 0, place) + 1}")
        place = found.end()
        if found["name"] is not None:
            value = next(v for v in (found["long"], found["short"], found["bare"]) if v is not None)
            parameter = found["parameter"]
            name = found["name"].lower()
            yield (f"{name} {parameter}" if parameter else name), value


def why_not(text: str) -> str:
    """Say why a Modelfile cannot say a text; "" where it can."""
    lost = sorted({c for c in text if c not in " \t\n\r" and _is_dropped(c)})
    if lost:
        return f"Ollama's reader drops {lost[0]!r}"
    return "it has no sign for three quotes" if _QUOTES in text else ""


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    why = why_not(value)
    if why:
        raise RefusedError(
            f"a Modelfile cannot say {value[:60]!r}: {why}",
            owner="Ollama's Modelfile",
            next="use another text, or send the model with --to ollama:NAME, which needs no file",
        )
    return f'"{value}"' if '"' not in value and "\n" not in value else _QUOTES + value + _QUOTES


def _plain(licence: str) -> str:
    kept = "".join(c if c in "\t\n\r" or not _is_dropped(c) else " " for c in licence)
    return kept.replace('"""', "'''").rstrip("\n") + "\n"


def _is_dropped(character: str) -> bool:
    """Return whether Go's ``strconv.IsPrint`` does not take it: letters, marks, numbers,
    punctuation, symbols and the ASCII space."""
    return unicodedata.category(character)[0] in "CZ" and character != " "


def _unreadable(where: str) -> IntegrityError:
    return IntegrityError(
        f"the {NAME} of the release cannot be read: {where}",
        owner=NAME,
        next="run the same command again; the file will be made anew",
    )
