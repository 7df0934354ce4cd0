"""The settings of plugins: which value of a field counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from uploader_core.contract.settings import fields_of
from uploader_core.errors import UsageError
from uploader_core.human_text import did_you_mean

T = TypeVar("T")
FILE = "uploader.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that can fill a setting.

    Attributes:
        tables: Merged TOML tables.
        environment: Variables of the process, completed by ``.env``.
        options: From the command line: plugin id to field name to value.
        source: What to release where the command names nothing; None where no file says.
        source_file: The file that says so.
    """

    tables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    source: str | None = None
    source_file: Path | None = None

    def settings(self, plugin: str, cls: type[T] | None) -> T | None:
        """Build the settings of a step: options first, then variables, then tables, then defaults.

        Args:
            plugin: Plugin id.
            cls: The settings dataclass; None for a step without settings.

        Raises:
            UsageError: A value that does not fit.
        """
        if cls is None:
            return None
        options, table = self.options.get(plugin, {}), self.tables.get(plugin, {})
        values: dict[str, Any] = {}
        for setting in fields_of(plugin, cls):
            name = setting.name
            if options.get(name) not in (None, ()):  # not given
                values[name] = setting.parse(options[name], setting.option)
            elif setting.variable in self.environment:
                values[name] = setting.parse(self.environment[setting.variable], setting.variable)
            elif name in table:
                values[name] = setting.parse(table[name], f"[{plugin}] {name}")
        return cls(**values)

    def with_table(self, plugin: str, values: Mapping[str, object]) -> Config:
        """Return the configuration with some values in a plugin's table, over what is there."""
        table = {**self.tables.get(plugin, {}), **values}
        return replace(self, tables={**self.tables, plugin: table}) if values else self

    def check_keys(self, plugin: str, classes: list[type]) -> None:
        """Refuse keys of the plugin's TOML table and options that none of its settings knows.

        Raises:
            UsageError: An unknown key, with the close ones.
        """
        known = {f.name for cls in classes for f in fields_of(plugin, cls)}
        for key in self.tables.get(plugin, {}):
            if key not in known:
                raise UsageError(
                    f"{FILE}: [{plugin}] has no setting {key!r}",
                    next=did_you_mean(key, known, most=2)
                    or f"[{plugin}] knows: {', '.join(sorted(known)) or 'nothing'}",
                )
