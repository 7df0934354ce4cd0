"""What the bytes of an artifact depend on besides its inputs, and what its settings do not say."""

from __future__ import annotations

import functools
import platform
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.contract.named_files import digest_named
from uploader_core.contract.settings import fields_of
from uploader_core.home import is_there

_CORE = "uploader-core"
_BELOW = frozenset({"numpy", "safetensors", "tokenizers"})
"""What computes and writes below the libraries that plugins require."""


def environment_of(distribution: str, needs: Iterable[str] = ()) -> dict[str, Json]:
    """Name the interpreter, the platform, and the installed version of what a plugin requires.

    Of a plugin that requires another, what that one requires is among it. Of the libraries below
    those are only the few that compute and write: all of them are a hundred.

    Args:
        distribution: Of the plugin.
        needs: Requirements of one of its specs.
    """
    libraries = {**_libraries(distribution)}
    libraries |= {name: _installed(name) for name in _names(needs)}
    return {
        "python": platform.python_version(),
        "platform": sysconfig.get_platform(),
        "libraries": {name: version for name, version in sorted(libraries.items()) if version},
    }


def contents_of(plugin: str, settings: object) -> dict[str, Json]:
    """Digest the files that settings name, whose paths nobody else knows.

    Args:
        plugin: Id of the plugin.
        settings: Of a step, or None.

    Returns:
        By field: name and digest of each file.
    """
    found: dict[str, Json] = {}
    for field in () if settings is None else fields_of(plugin, type(settings)):
        value = getattr(settings, field.name)
        named = [v for v in (value if field.many else (value,)) if field.content and is_there(v)]
        if named:
            found[field.name] = [digest_named(Path(item), field.content) for item in named]
    return found


@functools.cache
def _libraries(distribution: str) -> dict[str, str]:
    found: dict[str, str] = {}
    todo, seen = [distribution], {_CORE}
    while todo:
        required = _names(_requires(todo.pop()))
        # Only who requires core is a plugin.
        plugins = [n for n in required if n not in seen and _CORE in _names(_requires(n))]
        seen.update(plugins)
        todo += plugins
        below = _BELOW.intersection(n for r in required for n in _names(_requires(r)))
        found |= {name: _installed(name) for name in {*required, *below} - {_CORE}}
    return found


def _requires(distribution: str) -> list[str]:
    import importlib_metadata

    try:
        return importlib_metadata.requires(distribution) or []
    except importlib_metadata.PackageNotFoundError:
        return []


def _installed(name: str) -> str:
    """Return the version of a distribution, "" where it is not installed."""
    import importlib_metadata

    try:
        return importlib_metadata.version(name)
    except importlib_metadata.PackageNotFoundError:
        return ""


def _names(requirements: Iterable[str]) -> list[str]:
    """Return the names of the requirements that hold here, in one spelling."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    parsed = (Requirement(text) for text in requirements)
    return [
        canonicalize_name(requirement.name)
        for requirement in parsed
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
