"""A hook of mkdocs: tables of the options that the installed first-party plugins have."""

from __future__ import annotations

from typing import Any

from uploader_core.contract.settings import Setting, fields_of
from uploader_core.plugins.registry import Registry

PLUGINS = ("dir", "lora", "merged", "gguf", "hf")
MARK = "<!-- settings -->"


def settings_of(plugin_id: str) -> list[Setting]:
    """Return every setting of a plugin, once."""
    found: dict[str, Setting] = {}
    for spec in Registry().load(plugin_id).specs:
        if spec.settings is not None:
            found |= {field.option: field for field in fields_of(plugin_id, spec.settings)}
    return list(found.values())


def tables() -> str:
    """Return a table of settings for every plugin that has any."""
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
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables where a page asks for them."""
    return markdown.replace(MARK, tables()) if MARK in markdown else markdown
