"""What installed distributions say of themselves in metadata, and the import of what it names."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.errors import PluginBrokenError, UploaderError
from uploader_core.machine.time_limit import LIGHT, TimeLimitError, time_limit
from uploader_core.untrusted_json import parse_json

PLUGINS = "uploader_core.plugins"
ARTIFACTS = "uploader_core.artifacts"
SCHEMES = "uploader_core.schemes"
SOURCES = "uploader_core.sources"
READERS = "uploader_core.readers"
DOCUMENTS = "uploader_core.documents"
MEASURES = "uploader_core.measures"
DEFAULTS = "uploader_core.defaults"
EXECUTORS = "uploader_core.executors"
GROUPS = (PLUGINS, ARTIFACTS, SCHEMES, SOURCES, READERS, DOCUMENTS, MEASURES, DEFAULTS, EXECUTORS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a distribution's entry points.

    Attributes:
        group: One of :data:`GROUPS`.
        name: Plugin id, kind or scheme.
        module: Plugin module.
        distribution: Name of the distribution.
        version: Its version.
        summary: The distribution's own summary.
    """

    group: str
    name: str
    module: str
    distribution: str
    version: str
    summary: str = ""

    @property
    def owner(self) -> str:
        return f"{self.distribution} {self.version}"


def read_metadata() -> tuple[Entry, ...]:
    """Read the entry points of all installed distributions, once, importing none of them."""
    import importlib_metadata

    found = []
    for point in importlib_metadata.entry_points():
        if point.group not in GROUPS or point.dist is None:
            continue
        found.append(
            Entry(
                group=point.group,
                name=point.name,
                module=point.value,
                distribution=point.dist.name,
                version=point.dist.version,
                summary=point.dist.metadata.get("Summary") or "",
            )
        )
    return tuple(sorted(found, key=lambda e: (e.group, e.name, e.distribution)))


@functools.cache
def editable_place(distribution: str, module: str) -> Path | None:
    """Return where the package of a module lies whose distribution is installed editable.

    Args:
        distribution: Name of the distribution.
        module: Dotted name of a module of it.

    Returns:
        Folder of the package, or file of a single module; None for any other installation.
    """
    import importlib_metadata

    try:
        said = importlib_metadata.distribution(distribution).read_text("direct_url.json")
        editable = said and parse_json(said)["dir_info"]["editable"]
    except (importlib_metadata.PackageNotFoundError, KeyError, TypeError, ValueError):
        return None
    spec = importlib.util.find_spec(module.split(".")[0]) if editable else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def missing_requirements(needs: Iterable[str]) -> tuple[str, ...]:
    """Return those requirement strings that the environment does not meet, from metadata."""
    import importlib_metadata
    from packaging.requirements import Requirement

    missing = []
    for text in needs:
        requirement = Requirement(text)
        try:
            version = importlib_metadata.version(requirement.name)
        except importlib_metadata.PackageNotFoundError:
            missing.append(text)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{text} (installed: {version})")
    return tuple(missing)


def call_light(dotted: str, owner: str, context: object) -> Any:
    """Import a light function of a plugin, call it in this process, and return what it gives.

    Args:
        dotted: ``package.module:function``.
        owner: Whose it is.
        context: Its argument. What a generator yields is returned as a tuple.

    Raises:
        PluginBrokenError: It cannot be imported, or was not through in time.
    """
    function = import_dotted(dotted, owner)
    limit = LIGHT.of(os.environ)
    try:
        with time_limit(limit):
            found = function(context)
            # A generator fails while it is walked, so it is walked in here.
            return tuple(found) if isinstance(found, Iterator) else found
    except TimeLimitError:
        raise PluginBrokenError(
            f"{dotted} was not through after {limit:g} s",
            owner=owner,
            safe="nothing was started",
            next=f"leave the plugin out, or wait longer: {LIGHT.variable}={10 * limit:g}",
        ) from None


def import_dotted(dotted: str, owner: str) -> Any:
    """Import ``package.module:function``.

    Raises:
        PluginBrokenError: It cannot be imported, named with its owner.
    """
    module, _, name = dotted.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except UploaderError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginBrokenError(
            f"{dotted} cannot be imported: {type(error).__name__}: {error}",
            owner=owner,
            next=f"pip install -U {owner.split(' ')[0]}",
        ) from error
