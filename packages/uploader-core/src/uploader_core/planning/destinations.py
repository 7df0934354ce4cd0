"""Destinations as the user writes them, ``scheme:rest``, and the plugins that serve them."""

from __future__ import annotations

import re
from difflib import get_close_matches

from uploader_core.contract.specs import UploadSpec
from uploader_core.errors import PluginBrokenError, PluginNotInstalledError, UsageError
from uploader_core.plugins.entry_points import SCHEMES
from uploader_core.plugins.registry import Plugin, Registry


def split_destination(destination: str, registry: Registry) -> tuple[str, str]:
    """Split a destination into its scheme and what stands behind it.

    Raises:
        UsageError: It has another form.
        PluginNotInstalledError: Nobody serves the scheme.
    """
    scheme, colon, rest = destination.partition(":")
    schemes = registry.names(SCHEMES)
    known = ", ".join(f"{s}:" for s in schemes)
    if not colon or not rest:
        raise UsageError(
            f"destination {destination!r} is not of the form scheme:rest",
            next=f"--to {'hf:' if '/' in destination else 'dir:'}{destination}   (known: {known})",
        )
    if scheme not in schemes:
        close = [f"dir:{scheme}"] if rest[:2] == "//" else get_close_matches(scheme, schemes, n=1)
        raise PluginNotInstalledError(
            f"no installed plugin uploads to {scheme}:",
            owner=f"installed here: {known}",
            next=f"{close[0]}:{rest}" if close else f"pip install uploader-{scheme}",
        )
    return scheme, rest


def find_destination(scheme: str, rest: str, registry: Registry) -> tuple[Plugin, UploadSpec]:
    """Load the one plugin that serves a target of a scheme.

    Raises:
        UsageError: Several do, or none.
        PluginBrokenError: One advertises the scheme and registers no such destination.
    """
    found: list[tuple[Plugin, UploadSpec]] = []
    for plugin_id in registry.providers(SCHEMES, scheme) or (scheme,):
        plugin = registry.load(plugin_id)
        specs = [spec for spec in plugin.of(UploadSpec) if spec.scheme == scheme]
        if not specs:
            raise PluginBrokenError(
                f"plugin {plugin_id} advertises {scheme}: and registers no such destination",
                owner=plugin.entry.owner,
            )
        found += [(plugin, s) for s in specs if re.fullmatch(s.targets or ".+", rest)]
    # Who takes certain targets goes before who takes all.
    served = [item for item in found if item[1].targets is not None] or found
    if len(served) != 1:
        who = [plugin.id for plugin, _ in served]
        raise UsageError(
            f"{scheme}:{rest} is served by {' and '.join(who) or 'no installed plugin'}",
            next=f"leave one out: --without {who[-1]}" if who else "uploader plugins list",
        )
    return served[0]
