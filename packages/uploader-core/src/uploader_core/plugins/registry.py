"""Which plugins are installed, and the one way to load one of them.

Listing imports nothing; :mod:`uploader_core.plugins.loading` does what loading means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import TypeVar

from uploader_core.contract.specs import Spec
from uploader_core.errors import PluginBrokenError, PluginNotInstalledError
from uploader_core.human_text import did_you_mean
from uploader_core.plugins.entry_points import ARTIFACTS, PLUGINS, Entry, read_metadata
from uploader_core.plugins.loading import load_plugin

S = TypeVar("S", bound=Spec)

COMMAND = "uploader plugins disable"
ALLOW = "plugins.allow"
"""Two of the things that disable a plugin; how they are undone is not plain from their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """A loaded plugin with everything that it registered, checked.

    Attributes:
        id: What a user types.
        entry: Where it comes from.
        module: The imported module, for observers and wrappers.
        specs: In the order of the hooks, then of registration.
    """

    id: str
    entry: Entry
    module: ModuleType
    specs: tuple[Spec, ...]

    def of(self, cls: type[S]) -> tuple[S, ...]:
        """Return the specs of one class."""
        return tuple(spec for spec in self.specs if isinstance(spec, cls))


class Registry:
    """Installed plugins.

    Args:
        entries: Entry points; read from metadata when None. Tests pass their own.
        disabled: Ids of plugins that must not be loaded, each with what disables it; their
            metadata stays visible.
    """

    def __init__(
        self,
        entries: Iterable[Entry] | None = None,
        disabled: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.entries = read_metadata() if entries is None else tuple(entries)
        self.disabled = disabled
        self._loaded: dict[str, Plugin] = {}

    def ids(self) -> tuple[str, ...]:
        """Return the installed plugin ids, sorted, disabled ones too."""
        return tuple(sorted({entry.name for entry in self._in(PLUGINS)}))

    def names(self, group: str) -> tuple[str, ...]:
        """Return the names that a group advertises: kinds, schemes or plugin ids."""
        return tuple(sorted({entry.name for entry in self._in(group)}))

    def enabled(self, *groups: str) -> tuple[str, ...]:
        """Return the ids of enabled plugins that are in groups, those of the first group first."""
        found = dict.fromkeys(name for group in groups for name in self.names(group))
        return tuple(name for name in found if name not in self.disabled)

    def claims(self, plugin_id: str) -> tuple[Entry, ...]:
        """Return every distribution that claims a plugin id; more than one is a conflict."""
        return tuple(entry for entry in self._in(PLUGINS) if entry.name == plugin_id)

    def advertised(self, plugin_id: str, group: str) -> tuple[str, ...]:
        """Return what a plugin advertises in another group, matched by its module."""
        modules = {entry.module for entry in self.claims(plugin_id)}
        return tuple(sorted({e.name for e in self._in(group) if e.module in modules}))

    def providers(self, group: str, name: str) -> tuple[str, ...]:
        """Return the ids of enabled plugins that advertise a kind or a scheme."""
        modules = {e.module for e in self._in(group) if e.name == name}
        ids = {e.name for e in self._in(PLUGINS) if e.module in modules}
        return tuple(sorted(ids - self.disabled.keys()))

    def how_to_enable(self, plugin_id: str) -> str:
        """Return what to do so that a disabled plugin is loaded."""
        why = self.disabled[plugin_id]
        if why == COMMAND:
            return f"uploader plugins enable {plugin_id}"
        return f"{'add it to' if why.startswith(ALLOW) else 'take it out of'} {why}"

    def load(self, plugin_id: str) -> Plugin:
        """Import one plugin and collect its specs.

        Raises:
            PluginNotInstalledError: No such id.
            PluginBrokenError: Claimed twice, disabled, not importable, or invalid; the error names
                distribution, version, cause and fix.
        """
        if plugin_id not in self._loaded:
            claims = self.claims(plugin_id)
            if not claims:
                raise self.unknown(plugin_id)
            if plugin_id in self.disabled:
                raise PluginBrokenError(
                    f"plugin {plugin_id!r} is disabled by {self.disabled[plugin_id]}",
                    owner=claims[0].owner,
                    next=f"to use it: {self.how_to_enable(plugin_id)}",
                )
            if len(claims) > 1:
                owners = " and ".join(entry.owner for entry in claims)
                raise PluginBrokenError(
                    f"plugin id {plugin_id!r} is claimed twice",
                    owner=owners,
                    next=f"pip uninstall {claims[-1].distribution}",
                )
            module, specs = load_plugin(claims[0])
            self._loaded[plugin_id] = Plugin(
                id=plugin_id, entry=claims[0], module=module, specs=specs
            )
        return self._loaded[plugin_id]

    def unknown(self, name: str) -> PluginNotInstalledError:
        """Return the error of a name that no installed plugin and no format has."""
        known = sorted({*self.ids(), *self.names(ARTIFACTS)})
        question = did_you_mean(name, known, most=3)
        hint = f"{question} Otherwise: " if question else ""
        for kind in known:  # a variant is chosen by an option of its plugin
            if name.startswith(f"{kind}-") and self.providers(ARTIFACTS, kind):
                hint = f"--plugins {kind}, and choose its variants by its options. Otherwise: "
        return PluginNotInstalledError(
            f"no installed plugin or format is called {name!r}",
            owner="installed here: " + (", ".join(known) or "none"),
            next=f"{hint}pip install uploader-{name.split('-')[0]}",
        )

    def _in(self, group: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.group == group)
