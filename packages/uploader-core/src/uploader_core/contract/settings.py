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
from uploader_core.contract.named_files import digest_named
from uploader_core.errors import PluginBrokenError, UsageError
from uploader_core.home import from_home, is_there
from uploader_core.size import Size
from uploader_core.untrusted_json import as_json, read_as

T = TypeVar("T")

_HELP, _CHOICES, _CONTENT, _RESULT = (
    f"uploader.{name}" for name in ("help", "choices", "content", "changes_result")
)


def setting(
    default: T,
    *,
    help: str,
    choices: Iterable[object] | None = None,
    content: bool | tuple[str, ...] | None = None,
    changes_result: bool = True,
) -> T:
    """Declare a field of a settings dataclass.

    Args:
        default: Value when nothing else says otherwise. str, int, float, bool, Path,
            :class:`~uploader_core.size.Size`, an Enum member, None (for ``X | None``) or a
            tuple of these.
        help: One line for ``--help``.
        choices: Values that are allowed, compared without regard to case; the spelling given here
            is what the step gets. A wrong one is refused with the close matches.
        content: Whether the step reads what the value names: then it runs again when a file's bytes
            changed, or those of a file below a folder; a tuple of shell patterns says which files
            of a folder count. A Path names something to read unless this is False, and has to be
            there, or the plan is refused. For a text, give True where it may name a file.
        changes_result: False for what changes how a step works and not what comes of it, such as
            a timeout: another value does not make the step run again.

    Returns:
        A dataclass field, typed as the default so that type checkers see the plain type.
    """
    metadata = {
        _HELP: help,
        _CHOICES: tuple(map(_text, choices)) if choices is not None else None,
        _CONTENT: content,
        _RESULT: changes_result,
    }
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
        content: Whether the step reads what a value names, or patterns of the files that it reads.
        changes_result: Whether another value makes the step run again.
    """

    plugin: str
    name: str
    help: str
    default: Any
    item: type
    many: bool
    optional: bool
    choices: tuple[str, ...] | None
    content: bool | tuple[str, ...] = False
    changes_result: bool = True

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
            # str, int, float, Size, Path and Enum classes all take the text.
            parsed = typing.cast("Any", self.item)(text)
            return from_home(parsed) if isinstance(parsed, Path) else parsed
        except ValueError as error:
            raise UsageError(
                f"{origin}: {text!r} is not a valid {self.item.__name__}",
                owner=f"option {self.option}",
                next=f"{self.option}: {self.help}"
                + (", such as 5GB, 500MiB or 4096" if self.item is Size else ""),
            ) from error


def _text(choice: object) -> str:
    return str(choice.value if isinstance(choice, enum.Enum) else choice)


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
        if item not in (str, int, float, bool, Path, Size) and not (
            isinstance(item, type) and issubclass(item, enum.Enum)
        ):
            raise PluginBrokenError(
                f"setting {field.name!r} of plugin {plugin} has the type {hints[field.name]}",
                next="use str, int, float, bool, Path, Size, an Enum, tuples of one, or one | None",
            )
        content = field.metadata.get(_CONTENT)
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
                content=item is Path if content is None else content,
                changes_result=field.metadata.get(_RESULT, True),
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


def check_files(plugin: str, settings: Any) -> None:
    """Refuse settings that name what is not there.

    Raises:
        UsageError: A file that a step would read is missing.
    """
    for field, value in _values(plugin, settings):
        for path in value if field.many else (value,):
            if field.item is Path and field.content and path is not None and not path.exists():
                raise UsageError(
                    f"{field.option} {path}: there is no such file",
                    owner=f"option {field.option}",
                    safe="nothing was written",
                    next=f"{field.option} PATH, or {field.variable}: {field.help}",
                )


def key_of(plugin: str, settings: Any) -> dict[str, Json]:
    """Return what of some settings a step's result depends on, with digests of what they name."""
    data = to_json(settings)
    for field, value in _values(plugin, settings):
        if not field.changes_result:
            del data[field.name]
        elif field.content:
            found = value if field.many else (value,)
            data[field.name] = [
                digest_named(Path(item), field.content) if is_there(item) else item and str(item)
                for item in found
            ]
    return data


def _values(plugin: str, settings: Any) -> list[tuple[Setting, Any]]:
    fields = () if settings is None else fields_of(plugin, type(settings))
    return [(field, getattr(settings, field.name)) for field in fields]


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
