"""Look at an installed plugin from outside: it is imported in a separate process, with a limit.

Whatever a plugin does when it is imported (raise, print, hang, crash) ends there, so
``plugins list --check`` and ``plugins info`` always work. ``python -m
uploader_core.doctor.inspection ID`` is the other side.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from uploader_core.artifact import Json
from uploader_core.capability import declared
from uploader_core.contract.settings import fields_of
from uploader_core.errors import PluginBrokenError, UploaderError, from_json, to_message
from uploader_core.machine.time_limit import IMPORT
from uploader_core.plugins.entry_points import Entry, import_dotted
from uploader_core.plugins.registry import Registry

_LIGHT = ("check", "estimate", "group", "identify", "release_name", "use", "variants")
"""Spec fields whose functions run in core's own process or before a run, and so must be light."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What the import of one plugin showed.

    Attributes:
        plugin: Plugin id.
        error: Why it is broken, or None.
        milliseconds: Wall time of the import of the plugin module, in a process that had imported
            ``uploader_core.plugin`` already.
        modules: Names of the modules that it brought in.
        light: Names of the modules that ``check``, ``estimate``, ``group`` and ``identify``
            brought in.
        api: API version that it speaks.
        hooks: Names of the hooks that it implements.
        specs: Of each spec its type, name, summary, consumes, produces, scheme, secrets and
            settings.
    """

    plugin: str
    error: UploaderError | None = None
    milliseconds: float = 0.0
    modules: tuple[str, ...] = ()
    light: tuple[str, ...] = ()
    api: int = 1
    hooks: tuple[str, ...] = ()
    specs: tuple[Mapping[str, Any], ...] = field(default=())


def inspect(entry: Entry) -> Inspection:
    """Import one plugin in a separate process and say what it is.

    Args:
        entry: Its line in the ``plugins`` group, for messages.
    """
    limit = IMPORT.of(os.environ)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "uploader_core.doctor.inspection", entry.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit + 30,
        )
    except subprocess.TimeoutExpired:
        how = f"was still being imported after {limit:g} s"
    else:
        # The report is the last line of the real standard output, which plugins do not see.
        lines = result.stdout.splitlines()
        if lines:
            return _from_json(entry.name, json.loads(lines[-1]))
        how = f"ended the process that imported it, exit code {result.returncode}"
    error = PluginBrokenError(
        f"plugin {entry.name!r} {how}",
        owner=f"{entry.owner}, module {entry.module}",
        safe="other plugins are not affected",
        next=f"uploader plugins disable {entry.name}, or pip uninstall {entry.distribution}",
    )
    return Inspection(plugin=entry.name, error=error)


def inspect_all(entries: Iterable[Entry]) -> dict[str, Inspection]:
    """Inspect several plugins, as many side by side as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return {found.plugin: found for found in pool.map(inspect, entries)}


def _from_json(plugin: str, data: Mapping[str, Any]) -> Inspection:
    if data["error"] is not None:
        return Inspection(plugin=plugin, error=from_json(data["error"]))
    return Inspection(
        plugin=plugin,
        milliseconds=float(data["milliseconds"]),
        modules=tuple(data["modules"]),
        light=tuple(data["light"]),
        api=int(data["api"]),
        hooks=tuple(data["hooks"]),
        specs=tuple(data["specs"]),
    )


def _look(plugin_id: str) -> dict[str, Json]:
    """Import a plugin and describe it, in the process that may be harmed by it."""
    registry = Registry()
    import uploader_core.plugin  # noqa: F401 - what every plugin imports is not its own

    known = set(sys.modules)
    started = time.perf_counter()
    plugin = registry.load(plugin_id)
    milliseconds = (time.perf_counter() - started) * 1000
    modules = sorted(set(sys.modules) - known)
    for spec in plugin.specs:
        for name in _LIGHT:
            if (dotted := getattr(spec, name, None)) is not None:
                import_dotted(dotted, plugin.entry.owner)
    specs: list[Json] = []
    for spec in plugin.specs:
        settings: list[Json] = []
        if spec.settings is not None:
            settings = [
                {
                    "option": field.option,
                    "variable": field.variable,
                    "help": field.help,
                    "default": str(field.default),
                }
                for field in fields_of(plugin_id, spec.settings)
            ]
        specs.append(
            {
                "type": type(spec).__name__,
                "name": spec.name,
                "summary": spec.summary,
                "consumes": list(getattr(spec, "consumes", ())),
                "produces": getattr(spec, "produces", None),
                "scheme": getattr(spec, "scheme", None),
                "secrets": [*getattr(spec, "secrets", ())],
                "capabilities": [
                    str(c) for c in declared(getattr(spec, "capabilities", ())).values()
                ],
                "settings": settings,
            }
        )
    return {
        "error": None,
        "milliseconds": milliseconds,
        "modules": list(modules),
        "light": [*sorted(set(sys.modules) - known)],
        "api": int(getattr(plugin.module, "uploader_api", 1)),
        "hooks": [
            *sorted(n for n, f in vars(plugin.module).items() if hasattr(f, "uploader_impl"))
        ],
        "specs": specs,
    }


def main() -> int:
    """Answer for the one plugin that the command line names."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # whatever the plugin prints is not the answer
    try:
        answer = _look(sys.argv[1])
    except UploaderError as error:
        answer = {"error": {**to_message(error)}}
    out.write("\n" + json.dumps(answer) + "\n")
    out.flush()
    os._exit(0)  # a plugin may have left threads behind


if __name__ == "__main__":
    main()
