"""``RUNS.toml``: what all runs have in common, and what each one is.

::

    [defaults]
    plugins = ["lora", "merged-16bit", "gguf"]
    to = ["hf:lab/{name}"]

    [defaults.gguf]
    quants = ["Q4_K_M"]

    [[run]]
    source = "outputs/french"

    [[run]]
    source = "outputs/german"
    name = "deutsch"

The keys are the options of ``uploader run``; tables below ``defaults`` and ``run`` are settings of
plugins, as in ``uploader.toml``. Paths count from the file's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uploader_core.batch.wanted import Wanted
from uploader_core.contract.settings import fields_of
from uploader_core.errors import UsageError
from uploader_core.human_text import did_you_mean
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.disabled import split
from uploader_core.user_config.files import read_toml

DEFAULTS, RUN = "defaults", "run"

_TEXT, _LIST, _SWITCH = "a text", "a list of texts", "true or false"
KEYS = {
    "source": _TEXT,
    "name": _TEXT,
    "output": _TEXT,
    "base": _TEXT,
    "plugins": _LIST,
    "to": _LIST,
    "adapter": _LIST,
    "leave-behind": _LIST,
    "measure": _SWITCH,
}
"""What a run may be told besides settings of plugins, each as the option of that name."""

_SPLIT = ("plugins", "leave-behind")


def read_runs(
    path: Path,
    registry: Registry,
    values: Mapping[str, object],
    settings: Mapping[str, Mapping[str, object]],
) -> tuple[Wanted, ...]:
    """Read the file.

    Args:
        path: Of the file.
        registry: Installed plugins; those with settings in the file are loaded.
        values: From the command line, in place of ``[defaults]``.
        settings: Of plugins, from there.

    Raises:
        UsageError: It cannot be read, or says what nobody understands.
    """
    data = read_toml(path)
    for key in data.keys() - {DEFAULTS, RUN}:
        raise UsageError(
            f"{path} has no use for {key!r}",
            next=did_you_mean(key, (DEFAULTS, RUN), most=1) or "[defaults] and [[run]] are all",
        )
    defaults, runs = data.get(DEFAULTS, {}), data.get(RUN, [])
    if not isinstance(defaults, dict) or not isinstance(runs, list) or not runs:
        raise UsageError(
            f"{path} names no runs", next='[[run]] with source = "PATH", once for each release'
        )
    common, common_settings = _read_table(f"{path}, [{DEFAULTS}]", defaults, registry)
    if "source" in common:
        raise UsageError(f"{path}, [{DEFAULTS}]: a source is of one run", next="put it in [[run]]")
    found = []
    for number, table in enumerate(runs, 1):
        where = f"{path}, [[{RUN}]] {number}"
        own, own_settings = _read_table(where, table, registry)
        source = own.pop("source", None)
        if not isinstance(source, str):
            raise UsageError(f"{where} has no source", next='source = "PATH_TO/final_model"')
        merged = {**common_settings}
        for more in (settings, own_settings):
            for plugin, fields in more.items():
                merged[plugin] = {**merged.get(plugin, {}), **fields}
        found.append(
            Wanted(
                where=where,
                source=source,
                values={**common, **values, **own},
                settings=merged,
                beside=path.absolute().parent,
            )
        )
    return tuple(found)


def _read_table(
    where: str, table: object, registry: Registry
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Return the values of a table, and the settings of plugins."""
    if not isinstance(table, dict):
        raise UsageError(f"{where} must be a table")
    values: dict[str, object] = {}
    settings: dict[str, dict[str, object]] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            settings[key] = _check_settings(where, key, value, registry)
        elif key in KEYS:
            values[key] = _check_value(where, key, value)
        else:
            raise UsageError(
                f"{where} has no key {key!r}",
                next=did_you_mean(key, KEYS, most=2) or f"it knows: {', '.join(KEYS)}",
            )
    return values, settings


def _check_value(where: str, key: str, value: object) -> object:
    kind = KEYS[key]
    if kind is _LIST:
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return split(value) if key in _SPLIT else value
    elif isinstance(value, str if kind is _TEXT else bool) and value != "":
        return value
    raise UsageError(f"{where}: {key} must be {kind}, and is {value!r}")


def _check_settings(
    where: str, plugin: str, table: dict[str, object], registry: Registry
) -> dict[str, object]:
    if plugin not in registry.ids():
        raise UsageError(
            f"{where}.{plugin}: no installed plugin is called {plugin!r}",
            next=did_you_mean(plugin, registry.ids(), most=2)
            or f"installed: {', '.join(registry.ids())}",
        )
    specs = registry.load(plugin).specs
    known = {f.name: f for s in specs if s.settings for f in fields_of(plugin, s.settings)}
    for name, value in table.items():
        if name not in known:
            raise UsageError(
                f"{where}.{plugin} has no setting {name!r}",
                next=did_you_mean(name, known, most=2)
                or f"{plugin} knows: {', '.join(sorted(known)) or 'nothing'}",
            )
        known[name].parse(value, f"{where}.{plugin}: {name}")
    return table
