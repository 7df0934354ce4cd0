"""Which installed plugins may be loaded; decided before any of them is.

Four things disable a plugin, the first that applies is named: ``--without``, the variable
``UPLOADER_DISABLE``, ``uploader plugins disable``, and ``[plugins] allow`` of ``uploader.toml``,
outside which nothing but core's own is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from uploader_core.disk.safe_write import write_bytes
from uploader_core.errors import UsageError
from uploader_core.plugins.entry_points import PLUGINS, read_metadata
from uploader_core.plugins.registry import ALLOW, COMMAND, Registry
from uploader_core.user_config.files import read_tables

VARIABLE = "UPLOADER_DISABLE"
TABLE = "plugins"
_KEYS = ("allow", "index")
_OWN = frozenset({"dir", "local"})
"""Core's own plugins; they need no permission."""


def split(values: Iterable[str]) -> list[str]:
    """Split comma-separated values."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def disabled_plugins(
    ids: Iterable[str],
    *,
    without: Sequence[str] = (),
    tables: Mapping[str, Mapping[str, object]],
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the plugins that must not be loaded, each with what disables it.

    Args:
        ids: Installed plugins.
        without: Values of ``--without``.
        tables: Of the configuration files.
        environment: Variables; those of the process when None.

    Raises:
        UsageError: ``[plugins]`` holds something that it does not know, or no lists.
    """
    environment = os.environ if environment is None else environment
    allowed = _allowed(tables.get(TABLE, {}))
    found: dict[str, str] = {}
    if allowed is not None:
        found |= {i: f"{ALLOW} of uploader.toml" for i in ids if i not in allowed | _OWN}
    found |= dict.fromkeys(_read(_state_file()), COMMAND)
    found |= dict.fromkeys(split([environment.get(VARIABLE, "")]), VARIABLE)
    found |= dict.fromkeys(split(without), "--without")
    return found


def make_registry(without: Sequence[str] = (), config_file: str | None = None) -> Registry:
    """Return the installed plugins, with what disables some of them.

    Args:
        without: Values of ``--without``.
        config_file: Value of ``--config``.
    """
    entries = read_metadata()
    ids = {entry.name for entry in entries if entry.group == PLUGINS}
    # A file that is not there is reported when the configuration itself is read.
    file = Path(config_file) if config_file and Path(config_file).is_file() else None
    return Registry(
        entries, disabled_plugins(ids, without=without, tables=read_tables(config_file=file))
    )


def disable(plugin_id: str) -> Path:
    """Disable a plugin for this user until :func:`enable`; return the file that remembers it."""
    return _write({*_read(_state_file()), plugin_id})


def enable(plugin_id: str) -> Path:
    """Undo :func:`disable`."""
    return _write({*_read(_state_file())} - {plugin_id})


def index_places(tables: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Return the indexes of plugins that ``[plugins] index`` names.

    Args:
        tables: Of the configuration files.

    Raises:
        UsageError: It holds something else.
    """
    return tuple(_list_of(tables.get(TABLE, {}), "index", "https://example.org/plugins.json") or ())


def _allowed(table: Mapping[str, object]) -> set[str] | None:
    names = _list_of(table, "allow", "lora")
    return None if names is None else {*names}


def _list_of(table: Mapping[str, object], key: str, example: str) -> list[str] | None:
    """Return a list of core's own table, None where it is not there.

    Args:
        table: ``[plugins]``.
        key: Of the list.
        example: What could be in it.
    """
    unknown = sorted(set(table) - {*_KEYS})
    if unknown:
        raise UsageError(
            f"uploader.toml: [{TABLE}] has no setting {unknown[0]!r}",
            next=f"[{TABLE}] knows: {', '.join(_KEYS)}",
        )
    names = table.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"uploader.toml: {TABLE}.{key} must be a list of texts", next=f'{key} = ["{example}"]'
        )
    return names


def _state_file() -> Path:
    import platformdirs

    return platformdirs.user_config_path("uploader", appauthor=False) / "disabled-plugins.txt"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").split()
    except FileNotFoundError:
        return []


def _write(ids: set[str]) -> Path:
    path = _state_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, "".join(f"{plugin_id}\n" for plugin_id in sorted(ids)).encode("utf-8"))
    return path
