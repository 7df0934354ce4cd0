"""Load one plugin: import its module, contained and in time, and check what it registers.

Every plugin has a pluggy manager of its own, so a broken one leaves no half registration behind.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import pluggy

from uploader_core import __version__
from uploader_core.contract import hookspecs
from uploader_core.contract.settings import Setting, fields_of
from uploader_core.contract.specs import (
    RELATIONS,
    SUPPORTED_API,
    ConvertSpec,
    DocumentSpec,
    ExecutorSpec,
    MakeSpec,
    ReaderSpec,
    SaveSpec,
    SourceSpec,
    Spec,
    UploadSpec,
)
from uploader_core.deprecations import announce
from uploader_core.errors import PluginBrokenError
from uploader_core.machine.time_limit import IMPORT, TimeLimitError, time_limit
from uploader_core.plugins.entry_points import Entry

RESERVED = ("plugins", "targets")
"""Core's own tables of ``uploader.toml``; every other table belongs to the plugin of that id."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_FUNCTIONS = (
    "run", "check", "prove", "estimate", "group", "verify", "still_there", "clean_up",
    "release_name", "use", "identify", "variants", "when",
)  # fmt: skip
_PATTERNS = ("matches", "targets")
_REGISTRATION: Mapping[str, type[Spec]] = {
    "uploader_savers": SaveSpec,
    "uploader_converters": ConvertSpec,
    "uploader_documenters": DocumentSpec,
    "uploader_uploaders": UploadSpec,
    "uploader_sources": SourceSpec,
    "uploader_source_readers": ReaderSpec,
    "uploader_executors": ExecutorSpec,
}


def load_plugin(entry: Entry) -> tuple[ModuleType, tuple[Spec, ...]]:
    """Import a plugin module and collect what it registers, checked.

    Raises:
        PluginBrokenError: It cannot be imported in time, speaks another API version, or registers
            something invalid.
    """
    if entry.name in RESERVED:
        raise PluginBrokenError(
            f"{entry.name!r} is no plugin id: it is a table of uploader.toml", owner=entry.owner
        )
    with _contained(entry, "cannot be imported"):
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
    with _contained(entry, "registers something invalid"):
        specs = _collect(entry, module)
    announce(entry.name, entry.owner, module, specs, version=__version__)
    return module, specs


@contextlib.contextmanager
def _contained(entry: Entry, what: str) -> Iterator[None]:
    """Run code of a plugin in time, and turn whatever it raises into an error that says whose.

    Args:
        entry: The plugin.
        what: What failed where it raises, to follow its name.
    """
    limit = IMPORT.of(os.environ)
    try:
        # What a plugin prints while it is imported must not end up in somebody's JSON.
        with contextlib.redirect_stdout(sys.stderr), time_limit(limit):
            yield
    except TimeLimitError:
        raise PluginBrokenError(
            f"plugin {entry.name!r} was still being imported after {limit:g} s",
            owner=f"{entry.owner}, module {entry.module}",
            safe="other plugins are not affected",
            next=f"leave it out: --without {entry.name}, or uploader plugins disable {entry.name}",
        ) from None
    except PluginBrokenError as error:
        raise error.replace(
            owner=error.owner or entry.owner,
            next=error.next or f"pip install -U {entry.distribution}, or tell its author",
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginBrokenError(
            f"plugin {entry.name!r} {what}: {type(error).__name__}: {error}",
            owner=f"{entry.owner}, module {entry.module}",
            safe="other plugins are not affected",
            next=f"pip install -U {entry.distribution}, or leave it out: --without {entry.name}",
        ) from error


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
                if not isinstance(spec, cls):
                    given, wanted = type(spec).__name__, cls.__name__
                    raise PluginBrokenError(f"{hook_name} gave {given}, expected {wanted}")
                for problem in _problems(spec):
                    raise PluginBrokenError(problem)
                specs.append(spec)
    names = [(type(spec), spec.name) for spec in specs]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise PluginBrokenError(f"two {kind.__name__}s are called {name!r}")
    _check_settings_names(entry, specs)
    return tuple(specs)


def _problems(spec: Spec) -> Iterator[str]:
    """Say what is wrong with a spec."""
    if not _NAME.fullmatch(spec.name):
        yield f"{spec.name!r} is not a spec name (a-z, 0-9, dot, dash)"
    if not spec.summary:
        yield f"spec {spec.name!r} has no summary"
    for field in _FUNCTIONS:
        dotted = getattr(spec, field, None)
        if dotted is not None and not _DOTTED.fullmatch(dotted):
            yield f"{field}={dotted!r} of spec {spec.name!r} is not of the form package.module:name"
    for field in _PATTERNS:
        re.compile(getattr(spec, field, None) or "")
    if isinstance(spec, MakeSpec):
        if spec.card is not None and spec.card.relation not in RELATIONS:
            yield f"relation={spec.card.relation!r} of spec {spec.name!r} is none of {RELATIONS}"
        if spec.together and (spec.isolation != "process" or getattr(spec, "virtual", False)):
            yield f"together of spec {spec.name!r} needs a worker process and files"
        if isinstance(spec.consumes, str) or not spec.consumes:
            yield f"consumes of spec {spec.name!r} must be a tuple of kinds"
    elif isinstance(spec, DocumentSpec):
        if (spec.output is None) == (spec.section is None):
            yield f"spec {spec.name!r} needs either output or section"
        if spec.scope == "place" and spec.output is None:
            yield f"spec {spec.name!r}: a section is about one artifact"
        of_one = spec.output is not None and spec.scope == "artifact"
        if (spec.measures or spec.consumes) and not of_one:
            yield f"spec {spec.name!r}: what measures or consumes is a document of one artifact"
    elif isinstance(spec, ReaderSpec) and isinstance(spec.kinds, str):
        yield f"kinds of spec {spec.name!r} must be a tuple of kinds"


def are_names(names: tuple[object, ...]) -> bool:
    """Return whether all are names, each another one."""
    return len({*names}) == len(names) and all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in names
    )


def _check_settings_names(entry: Entry, specs: list[Spec]) -> None:
    """Settings classes of one plugin share the option prefix, so equal names must mean the same."""
    seen: dict[str, Setting] = {}
    for cls in {spec.settings: None for spec in specs if spec.settings is not None}:
        for field in fields_of(entry.name, cls):
            if seen.setdefault(field.name, field) != field:
                raise PluginBrokenError(
                    f"two settings classes declare the field {field.name!r} differently"
                )
