"""What goes is announced first: a warning, then an error, then it is gone.

Nothing is announced today. Whoever takes something away from the contract with authors adds a
line to :data:`ANNOUNCED` in a minor version, and removes the thing itself a major after the errors
began.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from types import ModuleType

from packaging.version import Version

from uploader_core.errors import PluginBrokenError
from uploader_core.specs import Spec


class UploaderDeprecationWarning(FutureWarning):
    """A plugin uses something that will go. Python shows it to users, and pytest to authors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """Something that will go.

    Attributes:
        name: A hook (``uploader_savers``), or a field of a spec (``SaveSpec.use``).
        since: Version of core that warns first.
        error_in: Version that refuses plugins which use it.
        instead: What to use, as a sentence.
    """

    name: str
    since: str
    error_in: str
    instead: str


ANNOUNCED: tuple[Announcement, ...] = ()


def announce(
    plugin: str,
    owner: str,
    module: ModuleType,
    specs: Iterable[Spec],
    *,
    version: str,
    announced: Iterable[Announcement] = ANNOUNCED,
) -> None:
    """Warn of what a plugin uses that will go, or refuse it where its time has come.

    Args:
        plugin: Plugin id.
        owner: Distribution and version, for messages.
        module: The plugin's module.
        specs: What it registered.
        version: Of core.
        announced: What will go.

    Raises:
        PluginBrokenError: It uses something whose time is over.
    """
    for line in _used(module, [*specs], announced):
        what = (
            f"plugin {plugin!r} uses {line.name}, which is announced to go since uploader-core "
            f"{line.since}: {line.instead}"
        )
        if Version(version) >= Version(line.error_in):
            raise PluginBrokenError(
                what, owner=owner, next=f"{line.instead}, or pip install -U {owner.split()[0]}"
            )
        warnings.warn(
            f"{what} (an error in {line.error_in}; {owner})", UploaderDeprecationWarning, 2
        )


def _used(
    module: ModuleType, specs: list[Spec], announced: Iterable[Announcement]
) -> Iterator[Announcement]:
    for line in announced:
        owner, _, field = line.name.partition(".")
        if not field:
            if hasattr(module, line.name):
                yield line
        elif any(type(spec).__name__ == owner and _is_set(spec, field) for spec in specs):
            yield line


def _is_set(spec: Spec, name: str) -> bool:
    for field in fields(spec):
        if field.name == name:
            if field.default_factory is not MISSING:
                return bool(getattr(spec, name) != field.default_factory())
            return field.default is MISSING or bool(getattr(spec, name) != field.default)
    return False
