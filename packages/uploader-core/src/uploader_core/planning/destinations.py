"""Destinations as the user writes them, ``scheme:rest``, and the plugins that serve them."""

from __future__ import annotations

import difflib

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
    known = ", ".join(f"{s}:" for s in registry.names(SCHEMES))
    if not colon or not rest:
        raise UsageError(
            f"destination {destination!r} is not of the form scheme:rest",
            next=f"--to {'hf:' if '/' in destination else 'dir:'}{destination}   (known: {known})",
        )
    if scheme not in registry.names(SCHEMES):
        close = difflib.get_close_matches(scheme, registry.names(SCHEMES), n=1)
        raise PluginNotInstalledError(
            f"no installed plugin uploads to {scheme}:",
            owner=f"installed here: {known}",
            next=f"{close[0]}:{rest}" if close else f"pip install uploader-{scheme}",
        )
    return scheme, rest


def find_destination(scheme: str, registry: Registry) -> tuple[Plugin, UploadSpec]:
    """Load the one plugin that serves a scheme.

    Raises:
        UsageError: Several do.
        PluginBrokenError: It advertises the scheme and registers no such destination.
    """
    (plugin_id, *others) = registry.providers(SCHEMES, scheme) or (scheme,)
    if others:
        raise UsageError(
            f"{scheme}: is served by {plugin_id} and {', '.join(others)}",
            next=f"leave one out: --without {others[0]}",
        )
    plugin = registry.load(plugin_id)
    spec = next((s for s in plugin.of(UploadSpec) if s.scheme == scheme), None)
    if spec is None:
        raise PluginBrokenError(
            f"plugin {plugin_id} advertises {scheme}: and registers no such destination",
            owner=plugin.entry.owner,
        )
    return plugin, spec
