"""Settings of steps: dataclasses whose fields become options, environment variables and TOML keys.

The field ``quants`` of plugin ``gguf`` is ``--gguf-quants``, ``UPLOADER_GGUF_QUANTS`` and
``[gguf] quants = [...]`` in ``uploader.toml``; they count in this order, then the default.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from uploader_core.artifact import Json
from uploader_core.errors import PluginBrokenError, UsageError
from uploader_core.untrusted_json import as_json, read_as

T = TypeVar("T")

_HELP, _CHOICES = "uploader.help", "uploader.choices"


def setting(default: T, *, help: str, choices: Iterable[str] | None = None) -> T:
    """Declare a field of a settings dataclass.

    Args:
        default: Value when nothing else says otherwise. str, int, float, bool, Path, an Enum
            member, None (for ``X | None``) or a tuple of these.
        help: One line for ``--help``.
        choices: Values that are allowed, compared without regard to case; the spelling given here
            is what the step gets. A wrong one is refused with the close matches.

    Returns:
        A dataclass field, typed as the default so that type checkers see the plain type.
    """
    metadata = {_HELP: help, _CHOICES: tuple(choices) if choices is not None else None}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One field, resolved: what the CLI, the environment and the file need to know.

    Attributes:
        plugin: Plugin id, the prefix.
        name: Field name.
        item: Type of a value, or of one element where ``many``.
        many: True for a tuple.
        optional: True when None is allowed.
    """

    plugin: str
    name: str
    help: str
    default: Any
    item: type
    many: bool
    optional: bool
    choices: tuple[str, ...] | None

    @property
    def option(self) -> str:
        return f"--{self.plugin}-{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"UPLOADER_{self.plugin}_{self.name}".upper().replace("-", "_")

    def parse(self, value: object, origin: str) -> Any:
        """Turn text, or a TOML value, into the field's type.

        Args:
            value: Text (commas separate the elements of a tuple), a TOML scalar or list.
            origin: Where it came from, for the error.

        Raises:
            UsageError: Not of the type, or not one of the choices.
        """
        if self.many:
            given = value if isinstance(value, (list, tuple)) else [value]
            return tuple(
                self._parse_one(part, origin)
                for item in given
                for part in (item.split(",") if isinstance(item, str) else [item])
                if part != ""
            )
        return self._parse_one(value, origin)

    def _parse_one(self, value: object, origin: str) -> Any:
        if value is None and self.optional:
            return None
        text = str(value).strip()
        if self.choices is not None:
            for choice in self.choices:
                if choice.casefold() == text.casefold():
                    return self.item(choice)
            close = difflib.get_close_matches(text.upper(), [c.upper() for c in self.choices], n=3)
            near = [c for c in self.choices if c.upper() in close]
            raise UsageError(
                f"{origin}: {text!r} is not known"
                + (f"; did you mean {', '.join(near)}?" if near else ""),
                owner=f"option {self.option}",
                next=f"{self.option} takes: {', '.join(self.choices)}",
            )
        try:
            if self.item is bool:
                return _parse_bool(text)
            # str, int, float, Path and Enum classes all take the text.
            return typing.cast("Any", self.item)(text)
        except ValueError as error:
            raise UsageError(
                f"{origin}: {text!r} is not a valid {self.item.__name__}",
                owner=f"option {self.option}",
                next=f"{self.option}: {self.help}",
            ) from error


def _parse_bool(text: str) -> bool:
    lowered = text.casefold()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def fields_of(plugin: str, cls: type) -> tuple[Setting, ...]:
    """Read a settings dataclass.

    Raises:
        PluginBrokenError: Not a dataclass, or a field without help, default or a supported type.
    """
    if not dataclasses.is_dataclass(cls):
        raise PluginBrokenError(f"settings {cls!r} of plugin {plugin} is not a dataclass")
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING or not field.metadata.get(_HELP):
            raise PluginBrokenError(
                f"setting {field.name!r} of plugin {plugin} has no default or no help",
                next="declare it with uploader_core.plugin.setting(default, help=...)",
            )
        item, many, optional = _shape(hints[field.name])
        if item not in (str, int, float, bool, Path) and not (
            isinstance(item, type) and issubclass(item, enum.Enum)
        ):
            raise PluginBrokenError(
                f"setting {field.name!r} of plugin {plugin} has the type {hints[field.name]}",
                next="use str, int, float, bool, Path, an Enum, a tuple of these, or one | None",
            )
        found.append(
            Setting(
                plugin=plugin,
                name=field.name,
                help=field.metadata[_HELP],
                default=field.default,
                item=item,
                many=many,
                optional=optional,
                choices=field.metadata.get(_CHOICES),
            )
        )
    return tuple(found)


def _shape(hint: Any) -> tuple[Any, bool, bool]:
    """Return (element type, is a tuple, may be None)."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        optional = len(arms) < len(typing.get_args(hint))
        if len(arms) != 1:
            return None, False, optional
        hint = arms[0]
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True, optional
    return hint, False, optional


def to_json(settings: Any) -> dict[str, Json]:
    """Return settings as plain JSON, for records, manifests and workers."""
    return {} if settings is None else as_json(settings)


def from_json(plugin: str, cls: type[T], data: Mapping[str, object]) -> T:
    """Rebuild settings from :func:`to_json`, in a worker.

    A plugin may give a default of another type than the field's; it arrives as if it were typed.
    """
    values: dict[str, Any] = {}
    for field in fields_of(plugin, cls):
        if field.name not in data:
            continue
        value = data[field.name]
        kind = tuple[field.item, ...] if field.many else field.item  # type: ignore[name-defined]
        try:
            values[field.name] = None if value is None else read_as(kind, value)
        except ValueError:
            values[field.name] = field.parse(value, field.option)
    return cls(**values)
