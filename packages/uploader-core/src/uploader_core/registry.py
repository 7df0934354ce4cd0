"""Which plugins are installed, read from metadata alone, and the one way to load one of them.

Listing imports nothing. Loading imports exactly one plugin module, in a pluggy manager of its own,
so a broken plugin cannot leave half a registration behind or harm another.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

import pluggy

from uploader_core import hookspecs
from uploader_core.errors import (
    PluginBrokenError,
    PluginNotInstalledError,
    UploaderError,
)
from uploader_core.selection import how_to_enable
from uploader_core.settings import Setting, fields_of
from uploader_core.specs import (
    SUPPORTED_API,
    ConvertSpec,
    DocumentSpec,
    SaveSpec,
    SourceSpec,
    Spec,
    UploadSpec,
)

PLUGINS = "uploader_core.plugins"
ARTIFACTS = "uploader_core.artifacts"
SCHEMES = "uploader_core.schemes"
SOURCES = "uploader_core.sources"
DOCUMENTS = "uploader_core.documents"
DEFAULTS = "uploader_core.defaults"
GROUPS = (PLUGINS, ARTIFACTS, SCHEMES, SOURCES, DOCUMENTS, DEFAULTS)

RESERVED = "plugins"
"""Core's own table of ``uploader.toml``; every other table belongs to the plugin of that id."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_REGISTRATION: Mapping[str, type[Spec]] = {
    "uploader_savers": SaveSpec,
    "uploader_converters": ConvertSpec,
    "uploader_documenters": DocumentSpec,
    "uploader_uploaders": UploadSpec,
    "uploader_sources": SourceSpec,
}

S = TypeVar("S", bound=Spec)


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
                raise self._unknown(plugin_id)
            if plugin_id in self.disabled:
                raise PluginBrokenError(
                    f"plugin {plugin_id!r} is disabled by {self.disabled[plugin_id]}",
                    owner=claims[0].owner,
                    next=f"to use it: {how_to_enable(plugin_id, self.disabled[plugin_id])}",
                )
            if len(claims) > 1:
                owners = " and ".join(entry.owner for entry in claims)
                raise PluginBrokenError(
                    f"plugin id {plugin_id!r} is claimed twice",
                    owner=owners,
                    next=f"pip uninstall {claims[-1].distribution}",
                )
            self._loaded[plugin_id] = _load(claims[0])
        return self._loaded[plugin_id]

    def _in(self, group: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.group == group)

    def _unknown(self, name: str) -> PluginNotInstalledError:
        known = sorted({*self.ids(), *self.names(ARTIFACTS)})
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}? Otherwise: " if close else ""
        return PluginNotInstalledError(
            f"no installed plugin or format is called {name!r}",
            owner="installed here: " + (", ".join(known) or "none"),
            next=f"{hint}pip install uploader-{name.split('-')[0]}",
        )


def _load(entry: Entry) -> Plugin:
    if entry.name == RESERVED:
        raise PluginBrokenError(
            f"{RESERVED!r} is no plugin id: it is a table of uploader.toml", owner=entry.owner
        )
    # What a plugin prints while it is imported must not end up in somebody's JSON.
    with (
        _blaming(entry, "cannot be imported"),
        contextlib.redirect_stdout(sys.stderr),
        _limited(entry),
    ):
        module = importlib.import_module(entry.module)
    api = getattr(module, "uploader_api", 1)
    if api not in SUPPORTED_API:
        newer = isinstance(api, int) and api > SUPPORTED_API[-1]
        raise PluginBrokenError(
            f"plugin {entry.name!r} speaks API version {api}; this core speaks "
            f"{SUPPORTED_API[0]} to {SUPPORTED_API[-1]}",
            owner=entry.owner,
            next=f"pip install -U {'uploader-core' if newer else entry.distribution}",
        )
    with (
        _blaming(entry, "registers something invalid"),
        contextlib.redirect_stdout(sys.stderr),
        _limited(entry),
    ):
        specs = _collect(entry, module)
    return Plugin(id=entry.name, entry=entry, module=module, specs=specs)


@contextlib.contextmanager
def _blaming(entry: Entry, what: str) -> Iterator[None]:
    """Turn whatever a plugin raises into an error that names distribution, cause and fix."""
    try:
        yield
    except PluginBrokenError as error:
        error.owner = error.owner or entry.owner
        error.next = error.next or f"pip install -U {entry.distribution}, or tell its author"
        raise
    except (Exception, SystemExit) as error:
        raise PluginBrokenError(
            f"plugin {entry.name!r} {what}: {type(error).__name__}: {error}",
            owner=f"{entry.owner}, module {entry.module}",
            safe="other plugins are not affected",
            next=f"pip install -U {entry.distribution}, or leave it out: --without {entry.name}",
        ) from error


def import_limit() -> float:
    """Return the seconds that the import of a plugin may take, ``UPLOADER_IMPORT_TIMEOUT``."""
    try:
        return float(os.environ.get("UPLOADER_IMPORT_TIMEOUT", ""))
    except ValueError:
        return 60.0


@contextlib.contextmanager
def _limited(entry: Entry) -> Iterator[None]:
    """End an import that does not end by itself, by interrupting it as Ctrl+C would.

    Only the main thread can be interrupted; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = import_limit()
    expired = threading.Event()

    def interrupt() -> None:
        expired.set()
        if hasattr(signal, "pthread_kill"):  # also wakes a sleeping system call
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            import _thread

            _thread.interrupt_main()

    timer = threading.Timer(limit, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if not expired.is_set():
            raise
        raise PluginBrokenError(
            f"plugin {entry.name!r} was still being imported after {limit:g} s",
            owner=f"{entry.owner}, module {entry.module}",
            safe="other plugins are not affected",
            next=f"leave it out: --without {entry.name}, or uploader plugins disable {entry.name}",
        ) from None
    finally:
        timer.cancel()


def _collect(entry: Entry, module: ModuleType) -> tuple[Spec, ...]:
    manager = pluggy.PluginManager("uploader")
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=entry.name)
    manager.check_pending()
    specs: list[Spec] = []
    for hook_name, cls in _REGISTRATION.items():
        hook = getattr(manager.hook, hook_name)
        for implementation in hook.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginBrokenError(f"{hook_name} cannot be wrapped")
            for spec in implementation.function():
                _validate(entry, hook_name, cls, spec)
                specs.append(spec)
    names = [(type(spec), spec.name) for spec in specs]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise PluginBrokenError(f"two {kind.__name__}s are called {name!r}")
    _check_settings_names(entry, specs)
    return tuple(specs)


def _validate(entry: Entry, hook: str, cls: type[Spec], spec: Any) -> None:
    if not isinstance(spec, cls):
        raise PluginBrokenError(f"{hook} gave {type(spec).__name__}, expected {cls.__name__}")
    if not _NAME.fullmatch(spec.name):
        raise PluginBrokenError(f"{spec.name!r} is not a spec name (a-z, 0-9, dot, dash)")
    if not spec.summary:
        raise PluginBrokenError(f"spec {spec.name!r} has no summary")
    for field in ("run", "check", "estimate", "group", "verify"):
        dotted = getattr(spec, field, None)
        if dotted is not None and not _DOTTED.fullmatch(dotted):
            raise PluginBrokenError(
                f"{field}={dotted!r} of spec {spec.name!r} is not of the form package.module:name"
            )
    if spec.settings is not None:
        fields_of(entry.name, spec.settings)
    if isinstance(spec, (SaveSpec, ConvertSpec)) and (
        isinstance(spec.consumes, str) or not spec.consumes
    ):
        raise PluginBrokenError(f"consumes of spec {spec.name!r} must be a tuple of kinds")
    if isinstance(spec, DocumentSpec) and (spec.output is None) == (spec.section is None):
        raise PluginBrokenError(f"spec {spec.name!r} needs either output or section")
    if isinstance(spec, SourceSpec):
        re.compile(spec.matches)


def _check_settings_names(entry: Entry, specs: list[Spec]) -> None:
    """Settings classes of one plugin share the option prefix, so equal names must mean the same."""
    seen: dict[str, Setting] = {}
    for cls in {spec.settings: None for spec in specs if spec.settings is not None}:
        for field in fields_of(entry.name, cls):
            if seen.setdefault(field.name, field) != field:
                raise PluginBrokenError(
                    f"two settings classes declare the field {field.name!r} differently"
                )


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
