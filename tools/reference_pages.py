"""Write what the code says of itself into the reference pages, as plain Markdown.

    python tools/reference_pages.py            writes
    python tools/reference_pages.py --check    only says which pages are out of date

A page asks for it between two marks; what stands between them is replaced. A mark names a module
(its public classes and functions) or one name of a module, or ``settings`` for the tables of the
first-party plugins' options::

    <!-- reference: uploader_core.contract.specs -->
    <!-- end -->

The text is in the repository, so that an author reads it without building a site, and the site
needs nothing that reads code.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from reference_docstrings import Docstring, read_docstring, wrapped

from uploader_core.contract.settings import Setting, fields_of
from uploader_core.plugins.registry import Registry

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
PLUGINS = (
    "dir", "lora", "merged", "gguf", "compressed", "mlx", "hf", "ollama", "oci", "fsspec",
    "max", "provenance",
)  # fmt: skip
_MARKED = re.compile(r"(<!-- reference: ([\w.:]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_OF_PYTEST = ("setup_class", "teardown_class")
_WIDE = 96
"""Characters from which a signature has a line for each parameter."""


def main() -> int:
    """Write the pages that are out of date, or only name them; 1 where there is one to name."""
    only_look = "--check" in sys.argv[1:]
    for path in stale():
        if not only_look:
            path.write_text(filled(path.read_text("utf-8")), "utf-8")
        print(f"{'out of date' if only_look else 'written'}: {path.relative_to(ROOT)}")
    return int(only_look and bool(stale()))


def stale() -> list[Path]:
    """Return the pages that do not say what the code says."""
    pages = ((path, path.read_text("utf-8")) for path in sorted(PAGES.glob("*.md")))
    return [path for path, text in pages if filled(text) != text]


def filled(text: str) -> str:
    """Return a page with what stands between its marks written anew.

    Args:
        text: Of the page.
    """
    return _MARKED.sub(lambda mark: f"{mark[1]}\n{_part(mark[2])}\n\n{mark[3]}", text)


def _part(name: str) -> str:
    if name == "settings":
        return settings_tables()
    module_name, _, one = name.partition(":")
    module = importlib.import_module(module_name)
    things = [getattr(module, one)] if one else _public(module)
    return "\n\n".join("\n\n".join(_described(thing)) for thing in things)


def _public(module: ModuleType) -> list[Any]:
    """Return the public classes and functions that a module defines, in their order there."""
    return [
        thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
    ]


def _described(thing: Any) -> Iterator[str]:
    """Yield the paragraphs about a class or a function."""
    yield f"### `{thing.__name__}`"
    yield from _class(thing) if inspect.isclass(thing) else _function(thing, thing.__name__)


def _function(member: Any, name: str) -> Iterator[str]:
    function = inspect.unwrap(getattr(member, "__func__", member))
    is_wrapped = function is not getattr(member, "__func__", member)
    head = "@contextmanager\n" if is_wrapped and inspect.isgeneratorfunction(function) else ""
    yield f"```python\n{head}{signature(function, name)}\n```"
    yield from _documented(read_docstring(inspect.getdoc(function) or ""))


def _class(cls: type) -> Iterator[str]:
    documented = read_docstring(inspect.getdoc(cls) or "" if cls.__doc__ else "")
    own = vars(cls)
    is_data = dataclasses.is_dataclass(cls)
    bases = [base for base in cls.__bases__ if base.__module__.startswith("uploader_")]
    if is_data or "__init__" in own:
        yield f"```python\n{signature(cls, cls.__name__)}\n```"
    elif bases:
        yield f"```python\nclass {cls.__name__}({', '.join(base.__name__ for base in bases)})\n```"
    yield from _documented(documented, _attribute_types(cls))
    inherited = [b.__name__ for b in bases if _attribute_types(b) and not issubclass(b, Exception)]
    if inherited:
        names = " and ".join(f"`{name}`" for name in inherited)
        yield f"The attributes of {names} as well."
    checks = []
    for name, member in own.items():
        if name.startswith("_") or name in _OF_PYTEST:
            continue
        function = inspect.unwrap(getattr(member, "__func__", member))
        if isinstance(member, property):
            text = " ".join((inspect.getdoc(member) or "").split())
            kind = inspect.signature(member.fget).return_annotation if member.fget else ""
            yield f"#### `{cls.__name__}.{name}: {kind}`"
            yield from read_docstring(text).text
        elif inspect.isfunction(function) and name.startswith("test_"):
            first = read_docstring(inspect.getdoc(function) or "").text
            checks.append(wrapped(f"- `{name}`: {first[0] if first else ''}", "  "))
        elif inspect.isfunction(function):
            yield f"#### `{cls.__name__}.{name}`"
            yield from _function(member, name)
    if checks:
        yield f"Checks of `{cls.__name__}`:"
        yield "\n".join(checks)


def _documented(docstring: Docstring, types: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the paragraphs of a docstring, its lists with types where they are known."""
    yield from docstring.text
    for heading, entries in docstring.lists.items():
        yield f"{heading}:"
        lines = []
        for name, text in entries:
            kind = ", ".join(
                f"{n}: {types[n]}" if types and n in types else n for n in name.split(", ")
            )
            lines.append(wrapped(f"- `{kind}`: {text}" if kind else f"- {text}", "  "))
        yield "\n".join(lines)


def _attribute_types(cls: type) -> dict[str, str]:
    """Return type and default of what a class holds, as its source writes them."""
    found: dict[str, str] = {}
    defaults = {}
    if dataclasses.is_dataclass(cls):
        defaults = {field.name: _default(field) for field in dataclasses.fields(cls)}
    for base in reversed(cls.__mro__):
        for name, kind in vars(base).get("__annotations__", {}).items():
            if name.startswith("_") or not base.__module__.startswith("uploader_"):
                continue
            plain = re.sub(r"^ClassVar\[(.*)\]$", r"\1", str(kind))
            if plain != str(kind) and isinstance(vars(base).get(name), int | str | tuple):
                defaults[name] = repr(vars(base)[name])
            found[name] = plain + (f" = {defaults[name]}" if defaults.get(name) else "")
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return _shown(field.default_factory())
    return "" if field.default is dataclasses.MISSING else _shown(field.default)


def signature(thing: Any, name: str) -> str:
    """Return how a function or a class is called, with types and defaults.

    Args:
        thing: The function or class.
        name: What it is called.
    """
    found = inspect.signature(thing)
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    made = {f.name: _default(f) for f in fields}
    parts, star = [], False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts, star = [*parts, "*"], True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = stars.get(parameter.kind, "") + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {made.get(parameter.name) or _shown(parameter.default)}"
        parts.append(text)
    returned = found.return_annotation
    end = "" if inspect.isclass(thing) or returned is found.empty else f" -> {returned}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= _WIDE:
        return line
    inner = textwrap.indent("".join(f"{part},\n" for part in parts), "    ")
    return f"{name}(\n{inner}){end}"


def _shown(value: object) -> str:
    """Return a default as it can be typed, ``...`` for what cannot."""
    text = value.__name__ if inspect.isclass(value) else repr(value)
    return "..." if text.startswith("<") else text


def settings_of(plugin_id: str) -> list[Setting]:
    """Return every setting of a plugin, once."""
    found: dict[str, Setting] = {}
    for spec in Registry().load(plugin_id).specs:
        if spec.settings is not None:
            found |= {field.option: field for field in fields_of(plugin_id, spec.settings)}
    return list(found.values())


def settings_tables() -> str:
    """Return a table of settings for every first-party plugin that has any."""
    lines: list[str] = []
    for plugin_id in PLUGINS:
        settings = settings_of(plugin_id)
        if not settings:
            continue
        lines += ["", f"## {plugin_id}", "", "| option | variable | default | |"]
        lines.append("| --- | --- | --- | --- |")
        for field in settings:
            default = ",".join(map(str, field.default)) if field.many else field.default
            shown = "" if default in (None, "") else f"`{default}`"
            text = field.help.replace("|", "\\|")
            lines.append(f"| `{field.option}` | `{field.variable}` | {shown} | {text} |")
    return "\n".join(lines).strip()


if __name__ == "__main__":
    sys.exit(main())
