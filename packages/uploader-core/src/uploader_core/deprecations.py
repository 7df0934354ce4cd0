"""Deprecations: a warning, then an error, then removal.

Nothing is deprecated today. Whoever removes something from the contract with authors adds a line to
:data:`ANNOUNCED` in a minor version, and removes the thing itself one major version after the
errors began.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from types import ModuleType

from packaging.version import Version

from uploader_core.contract.specs import Spec
from uploader_core.errors import PluginBrokenError


class UploaderDeprecationWarning(FutureWarning):
    """A plugin uses something that will go. Python shows it to users, and pytest to authors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """Something that will go.

    Attributes:
        name: A hook (``uploader_savers``), a field of a spec (``SaveSpec.use``), an artifact kind
            (``kind merged-16bit``), or a name that plugins import (``plugin.hash_file``).
        since: Version of core that warns first.
        error_in: Version that refuses plugins which use it.
        instead: What to use, as a sentence.
        module: Of a name that plugins import: the module of core that has it still.
    """

    name: str
    since: str
    error_in: str
    instead: str
    module: str = ""

    @property
    def words(self) -> str:
        """What is said of it, to follow its name."""
        return f"is announced to go since uploader-core {self.since}: {self.instead}"

    def is_over(self, version: str) -> bool:
        """Return whether this version of core refuses it."""
        return Version(version) >= Version(self.error_in)


ANNOUNCED: tuple[Announcement, ...] = ()


def announce(
    plugin: str,
    owner: str,
    module: ModuleType,
    specs: Sequence[Spec],
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
    for line in announced:
        if not _is_used(line.name, module, specs):
            continue
        what = f"plugin {plugin!r} uses {line.name}, which {line.words}"
        if line.is_over(version):
            raise PluginBrokenError(
                what, owner=owner, next=f"{line.instead}, or pip install -U {owner.split()[0]}"
            )
        warnings.warn(
            f"{what} (an error in {line.error_in}; {owner})", UploaderDeprecationWarning, 2
        )


def public_name(
    name: str, *, version: str, announced: Iterable[Announcement] = ANNOUNCED
) -> object:
    """Return something that :mod:`uploader_core.plugin` offers no more, with a warning.

    Args:
        name: As a plugin imports it.
        version: Of core.
        announced: What will go.

    Raises:
        AttributeError: There never was such a name.
        ImportError: Its time is over; the text says what to use.
    """
    for line in announced:
        if line.name == f"plugin.{name}":
            what = f"{name} {line.words}"
            if line.is_over(version):
                raise ImportError(what)
            warnings.warn(f"{what} (an error in {line.error_in})", UploaderDeprecationWarning, 3)
            return getattr(importlib.import_module(line.module), name)
    raise AttributeError(f"module 'uploader_core.plugin' has no attribute {name!r}")


def _is_used(name: str, module: ModuleType, specs: Sequence[Spec]) -> bool:
    """Return whether a plugin uses what an announcement is called after."""
    if name.startswith("kind "):
        return any(name.removeprefix("kind ") in _kinds(spec) for spec in specs)
    owner, _, field = name.partition(".")
    if not field:
        return hasattr(module, name)
    return any(type(spec).__name__ == owner and _is_set(spec, field) for spec in specs)


def _kinds(spec: Spec) -> set[str]:
    """Return the kinds that a spec takes, makes or tells about."""
    several = (*getattr(spec, "consumes", ()), *(getattr(spec, "describes", None) or ()))
    return {*several, getattr(spec, "produces", "")}


def _is_set(spec: Spec, name: str) -> bool:
    for field in fields(spec):
        if field.name == name:
            if field.default_factory is not MISSING:
                return bool(getattr(spec, name) != field.default_factory())
            return field.default is MISSING or bool(getattr(spec, name) != field.default)
    return False
