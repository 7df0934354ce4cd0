"""Sources that plugins bring."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from uploader_core.contract.context import FetchedSource, SourceContext
from uploader_core.contract.specs import SourceSpec
from uploader_core.plugins.entry_points import SOURCES, call_light
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.workers.messages import Fetch
from uploader_core.workers.pool import Workers

OUTLINED = () if os.name == "nt" else ("source", "base")
"""Purposes for which a plan has outlines; there are none where holes in files take room."""


class Fetcher:
    """Asks the source plugins for references, once for each.

    Args:
        registry: Installed plugins.
        workers: They run there.
        outlines: Purposes for which an outline is enough; everything is brought for others.
    """

    def __init__(self, registry: Registry, workers: Workers, outlines: Collection[str]) -> None:
        self._registry = registry
        self._workers = workers
        self._outlines = outlines
        self._asked: dict[tuple[str, str], FetchedSource | None] = {}

    def brought(self, *, base: bool) -> tuple[FetchedSource, ...]:
        """Return what plugins brought so far; a base only where it is asked for."""
        return tuple(f for (_, why), f in self._asked.items() if f and (base or why != "base"))

    def __call__(self, reference: str, purpose: str) -> FetchedSource | None:
        """Return what a plugin brought, None when none answers to the reference."""
        if (reference, purpose) not in self._asked:
            self._asked[reference, purpose] = self._find(reference, purpose)
        return self._asked[reference, purpose]

    def _find(self, reference: str, purpose: str) -> FetchedSource | None:
        for plugin_id in self._registry.enabled(SOURCES):
            plugin = self._registry.load(plugin_id)
            for spec in plugin.of(SourceSpec):
                if re.fullmatch(spec.matches, reference):
                    return self._fetch(plugin, spec, reference, purpose)
        return None

    def _fetch(
        self, plugin: Plugin, spec: SourceSpec, reference: str, purpose: str
    ) -> FetchedSource:
        outline = _outline_folder() if purpose in self._outlines else None
        asked = Fetch(
            step=f"{plugin.id}:{spec.name}",
            owner=plugin.entry.owner,
            secrets=spec.secrets,
            network=True,
            run=spec.run,
            context=SourceContext(reference=reference, purpose=purpose, outline=outline),
        )
        return self._workers.perform(asked)


def identify(folder: Path, registry: Registry) -> FetchedSource | None:
    """Ask the source plugins what a folder of this machine is a copy of.

    One that fails knows nothing: a folder that is here needs no plugin.
    """
    for plugin_id in registry.enabled(SOURCES):
        with contextlib.suppress(Exception):
            plugin = registry.load(plugin_id)
            for spec in plugin.of(SourceSpec):
                if spec.identify is not None:
                    found = call_light(spec.identify, plugin.entry.owner, folder)
                    if isinstance(found, FetchedSource):
                        return found
    return None


def _outline_folder() -> Path:
    """Return an empty folder, until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="uploader-outline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
