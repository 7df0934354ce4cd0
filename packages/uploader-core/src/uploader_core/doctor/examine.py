"""What ``uploader doctor`` finds: this machine, what is installed, and what plugins say of both.

Nothing heavy is imported: versions come from metadata, plugins are looked at in processes of their
own, with a limit. The network is asked only when the user says so.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uploader_core.contract.specs import Diagnosis
from uploader_core.doctor import asking
from uploader_core.doctor.inspection import Inspection, inspect_all
from uploader_core.doctor.machine_lines import (
    disk_lines,
    gpu_lines,
    machine_lines,
    memory_lines,
    terminal_lines,
)
from uploader_core.errors import UploaderError
from uploader_core.machine import gpu, host, memory
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.files import settings_files
from uploader_core.workers.pool import Workers

_FOR_AUTHORS = re.compile(r"extra == .(test|dev|docs|lint).$")
_SECONDS_OF_A_PLUGIN = 4.0
_SECONDS_ONLINE = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Lines about one subject.

    Attributes:
        title: What they are about.
        lines: In the order in which they are shown.
    """

    title: str
    lines: tuple[Diagnosis, ...]


def examine(
    registry: Registry, config: Config, folder: Path, *, online: bool = False
) -> Iterator[Part]:
    """Look at everything, part by part.

    Args:
        registry: Installed plugins.
        config: For the environment, ``.env`` included.
        folder: Where a release would be written.
        online: Let plugins ask the network.
    """
    facts = host.look()
    yield Part(title="machine", lines=(*machine_lines(facts), *terminal_lines(), *_settings()))
    yield Part(title="disk and memory", lines=(*disk_lines(folder), *memory_lines(memory.look())))
    yield Part(title="GPU", lines=tuple(gpu_lines(gpu.look())))
    sound = {
        plugin_id: registry.claims(plugin_id)[0]
        for plugin_id in registry.ids()
        if plugin_id not in registry.disabled and len(registry.claims(plugin_id)) == 1
    }
    seen = inspect_all(sound.values())
    yield Part(title="plugins", lines=tuple(_plugins(registry, seen)))
    yield Part(title="packages", lines=tuple(_packages(registry)))
    yield from _told(registry, config, seen, online)


def _settings() -> Iterator[Diagnosis]:
    """Say which files settings and variables are read from here."""
    from dotenv import dotenv_values

    names = [n for n, value in dotenv_values(Path.cwd() / ".env").items() if value is not None]
    if names:
        what = f".env, with {', '.join(sorted(names))}"
        yield Diagnosis(name="variables", level="ok", what=what)
    files = [str(path) for path in settings_files() if path.is_file()]
    if files:
        yield Diagnosis(name="settings", level="ok", what=", ".join(files))


def _plugins(registry: Registry, seen: Mapping[str, Inspection]) -> Iterator[Diagnosis]:
    for plugin_id in registry.ids():
        claims = registry.claims(plugin_id)
        owners = " and ".join(entry.owner for entry in claims)
        if plugin_id in registry.disabled:
            why = registry.disabled[plugin_id]
            yield Diagnosis(
                name=plugin_id,
                level="ok",
                what=f"{owners}, disabled by {why}",
                fix=registry.how_to_enable(plugin_id),
            )
            continue
        if plugin_id not in seen:
            yield Diagnosis(
                name=plugin_id,
                level="fail",
                what=f"claimed twice: {owners}",
                fix=f"pip uninstall {claims[-1].distribution}",
            )
            continue
        error = seen[plugin_id].error
        if error is not None:
            yield Diagnosis(
                name=plugin_id,
                level="fail",
                what=f"broken: {error.what} ({error.owner})",
                fix=error.next,
            )
            continue
        yield Diagnosis(name=plugin_id, level="ok", what=owners)


def _packages(registry: Registry) -> Iterator[Diagnosis]:
    """Compare what the plugins' distributions require with what is installed."""
    import importlib_metadata

    ours = dict.fromkeys(["uploader-core", *(entry.distribution for entry in registry.entries)])
    required: dict[str, list[tuple[str, str]]] = {}
    for name in ours:
        try:
            distribution = importlib_metadata.distribution(name)
        except importlib_metadata.PackageNotFoundError:
            continue
        for text in distribution.requires or ():
            required.setdefault(_key(text), []).append((text, name))
    sound: list[str] = []
    for key in sorted(required):
        faults = [*_faults(required[key])]
        yield from faults
        if not faults and any(not _FOR_AUTHORS.search(text) for text, _ in required[key]):
            sound += _installed(key)
    if sound:
        yield Diagnosis(name="installed", level="ok", what=", ".join(sound))


def _key(requirement: str) -> str:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)


def _installed(name: str) -> list[str]:
    import importlib_metadata

    try:
        return [f"{name} {importlib_metadata.version(name)}"]
    except importlib_metadata.PackageNotFoundError:
        return []


def _faults(wanted: Iterable[tuple[str, str]]) -> Iterator[Diagnosis]:
    """Yield requirements on one package that are not met.

    An extra that nobody asked for is no requirement, but a version that is too old for it is.
    """
    import importlib_metadata
    from packaging.requirements import Requirement

    for text, who in wanted:
        requirement = Requirement(text)
        marker = requirement.marker
        plain = marker is None or marker.evaluate({"extra": ""})
        if not plain and "extra" not in str(marker):
            continue  # of another Python or system
        bare = f"{requirement.name}{requirement.specifier}"
        try:
            version = importlib_metadata.version(requirement.name)
        except importlib_metadata.PackageNotFoundError:
            if plain:
                yield Diagnosis(
                    name=requirement.name,
                    level="fail",
                    what=f"not installed, and {who} needs it",
                    fix=f'pip install "{bare}"',
                )
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield Diagnosis(
                name=requirement.name,
                level="fail" if plain else "warn",
                what=f"{version}, and {who} needs {requirement.specifier}",
                fix=f'pip install "{bare}"',
            )


def _told(
    registry: Registry, config: Config, seen: Mapping[str, Inspection], online: bool
) -> Iterator[Part]:
    """Ask the plugins that have something to say, side by side."""
    asked = [p for p, found in seen.items() if "uploader_diagnostics" in found.hooks]
    workers = Workers(config.environment, module=asking.__name__)
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(asked)))
    limit = _SECONDS_ONLINE if online else _SECONDS_OF_A_PLUGIN
    try:
        answers = {
            plugin_id: pool.submit(_ask, registry, workers, plugin_id, seen[plugin_id], online)
            for plugin_id in asked
        }
        concurrent.futures.wait(answers.values(), timeout=limit)
        for plugin_id in asked:
            lines = [*_secrets(config, seen[plugin_id])]
            if answers[plugin_id].done():
                lines += answers[plugin_id].result()
            else:
                lines.append(_silent(registry, plugin_id, f"no answer after {limit:g} s"))
            yield Part(title=plugin_id, lines=tuple(lines))
    finally:
        workers.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _ask(
    registry: Registry, workers: Workers, plugin_id: str, found: Inspection, online: bool
) -> list[Diagnosis]:
    request = asking.Diagnose(
        step=f"doctor {plugin_id}",
        owner=registry.claims(plugin_id)[0].owner,
        secrets=tuple(_secret_names(found)),
        # The user's own wish to stay offline is part of what is looked at.
        network=True,
        plugin=plugin_id,
        online=online,
    )
    try:
        return [*workers.perform(request)]
    except UploaderError as error:
        return [_silent(registry, plugin_id, error.what)]


def _silent(registry: Registry, plugin_id: str, why: str) -> Diagnosis:
    distribution = registry.claims(plugin_id)[0].distribution
    return Diagnosis(
        name=plugin_id,
        level="warn",
        what=f"it says nothing of this machine: {why}",
        fix=f"pip install -U {distribution}",
    )


def _secret_names(found: Inspection) -> list[str]:
    return [*dict.fromkeys(name for spec in found.specs for name in spec.get("secrets", ()))]


def _secrets(config: Config, found: Inspection) -> Iterator[Diagnosis]:
    """Say which credentials are set, and where; never what they are."""
    for name in _secret_names(found):
        if config.environment.get(name):
            where = "the environment" if os.environ.get(name) else ".env"
            yield Diagnosis(name=name, level="ok", what=f"set, from {where}")
