"""Which plugin can read what the user points at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from uploader_core.contract.sources import ReaderContext, Sources
from uploader_core.contract.specs import Finding, ReaderSpec
from uploader_core.errors import (
    PluginBrokenError,
    PluginNotInstalledError,
    UploaderError,
    UsageError,
)
from uploader_core.plugins.entry_points import READERS, import_dotted
from uploader_core.plugins.registry import Plugin, Registry


def read_source(context: ReaderContext, registry: Registry) -> Sources:
    """Ask the installed readers what a source is.

    All that know one kind of source are asked first, then those that know the rest. What is broken
    is left out, with a warning.

    Args:
        context: What the user named.
        registry: Installed plugins.

    Raises:
        UsageError: Several readers know the source.
        PluginNotInstalledError: None does.
        UploaderError: What a reader says of a source from which nothing can be made.
    """
    broken: dict[str, PluginBrokenError] = {}
    readers = [
        (plugin, spec)
        for plugin, spec in _readers(registry, broken)
        # Which revision a name stands for depends on the adapters, which only their reader knows.
        if spec.adapters or not context.adapters
    ]
    for fallback in (False, True):
        found: dict[str, Sources] = {}
        for plugin, spec in readers:
            if spec.fallback == fallback:
                sources = _read(plugin, spec, context, broken)
                if sources is not None:
                    found[plugin.id] = sources
        if len(found) > 1:
            raise UsageError(
                f"{context.reference} can be read by {' and by '.join(found)}",
                next=f"leave one out: --without {[*found][-1]}",
            )
        for sources in found.values():
            left_out = tuple(_left_out(*item) for item in broken.items())
            return replace(sources, findings=(*sources.findings, *left_out))
    for error in broken.values():
        raise error
    raise PluginNotInstalledError(
        f"no plugin can read {context.reference}",
        owner="installed readers: " + (", ".join(registry.names(READERS)) or "none"),
        next="; ".join(
            registry.how_to_enable(plugin_id)
            for plugin_id in registry.names(READERS)
            if plugin_id in registry.disabled
        )
        or "pip install -U uploader-core",
    )


def source_kinds(registry: Registry) -> set[str]:
    """Return the kinds that no step makes, as the installed readers say."""
    return {kind for _, spec in _readers(registry, {}) for kind in spec.kinds}


def _readers(
    registry: Registry, broken: dict[str, PluginBrokenError]
) -> Iterator[tuple[Plugin, ReaderSpec]]:
    for plugin_id in registry.enabled(READERS):
        try:
            plugin = registry.load(plugin_id)
        except PluginBrokenError as error:
            broken[plugin_id] = error
            continue
        for spec in plugin.of(ReaderSpec):
            yield plugin, spec


def _read(
    plugin: Plugin, spec: ReaderSpec, context: ReaderContext, broken: dict[str, PluginBrokenError]
) -> Sources | None:
    """Ask one reader; where it is broken, that is noted and nothing known."""
    owner = plugin.entry.owner
    try:
        function = import_dotted(spec.run, owner)
    except PluginBrokenError as error:
        broken[plugin.id] = error
        return None
    cause: BaseException | None = None
    try:
        sources = function(context)
        if sources is None or isinstance(sources, Sources):
            return sources
        what = f"{spec.run} did not return Sources"
    except UploaderError:
        raise  # a refusal
    except (Exception, SystemExit) as error:
        what, cause = f"{spec.run} failed: {type(error).__name__}: {error}", error
    broken[plugin.id] = PluginBrokenError(
        what, owner=owner, next=f"leave it out: --without {plugin.id}"
    )
    broken[plugin.id].__cause__ = cause
    return None


def _left_out(plugin_id: str, error: PluginBrokenError) -> Finding:
    what = f"{plugin_id} was not asked what the source is: {error.what} ({error.owner})"
    return Finding(level="warning", what=what, next=error.next)
