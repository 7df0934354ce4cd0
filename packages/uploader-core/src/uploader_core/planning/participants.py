"""Who takes part in a request: what metadata says, before any plugin is imported."""

from __future__ import annotations

from uploader_core.planning.request import Request
from uploader_core.plugins.entry_points import ARTIFACTS, DEFAULTS, DOCUMENTS, MEASURES, SCHEMES
from uploader_core.plugins.registry import Registry


def taking_part(request: Request, registry: Registry) -> tuple[str, ...]:
    """Return the ids of the plugins that a request names or that every request asks.

    What these plugins need besides, their specs say.
    """
    found: list[str] = []
    for name in request.plugins or registry.enabled(DEFAULTS):
        found += [name] if name in registry.ids() else registry.providers(ARTIFACTS, name)
    for destination in request.destinations:
        found += registry.providers(SCHEMES, destination.partition(":")[0])
    return tuple(dict.fromkeys([*found, *documenting(request, registry)]))


def documenting(request: Request, registry: Registry) -> tuple[str, ...]:
    """Return the ids of the plugins that write documents, and where asked for, that measure."""
    return registry.enabled(DOCUMENTS, *([MEASURES] if request.measure else []))
