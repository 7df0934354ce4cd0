"""Sources that plugins bring."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.specs import SourceSpec
from uploader_core.plugins.entry_points import SOURCES
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.untrusted_json import member
from uploader_core.workers.pool import Workers, read_answer


class Fetcher:
    """Asks the source plugins for a reference.

    Args:
        registry: Installed plugins.
        workers: They run there.
        outlines: Folder for outlines where a plan is enough; None to bring everything.

    Attributes:
        outlined: Whether anything was only outlined.
    """

    def __init__(self, registry: Registry, workers: Workers, outlines: Path | None = None) -> None:
        self._registry = registry
        self._workers = workers
        self._outlines = outlines
        self.outlined = False

    def __call__(self, reference: str, purpose: str) -> FetchedSource | None:
        """Return what a plugin brought, None when none answers to the reference."""
        for plugin_id in self._registry.names(SOURCES):
            if plugin_id in self._registry.disabled:
                continue
            plugin = self._registry.load(plugin_id)
            for spec in plugin.of(SourceSpec):
                if re.fullmatch(spec.matches, reference):
                    return self._fetch(plugin, spec, reference, purpose)
        return None

    def _fetch(
        self, plugin: Plugin, spec: SourceSpec, reference: str, purpose: str
    ) -> FetchedSource:
        outline: Path | None = None
        if self._outlines is not None:
            outline = Path(tempfile.mkdtemp(dir=self._outlines))
        asked = {
            "op": "fetch",
            "step": f"{plugin.id}:{spec.name}",
            "owner": plugin.entry.owner,
            "run": spec.run,
            "reference": reference,
            "purpose": purpose,
            "outline": None if outline is None else str(outline),
            "secrets": list(spec.secrets),
            "network": True,
        }
        answer = self._workers.perform(asked, lambda _: None)
        fetched = read_answer(asked, answer, _fetched)
        self.outlined |= fetched.outline
        return fetched


def _fetched(answer: Mapping[str, Json]) -> FetchedSource:
    revision, cache = answer.get("revision"), answer.get("cache")
    return FetchedSource(
        path=Path(member(answer, "path", str)),
        model_id=member(answer, "model_id", str),
        revision=None if revision is None else str(revision),
        outline=bool(answer.get("outline")),
        download=member(answer, "download", int),
        cache=None if cache is None else Path(str(cache)),
        cache_option=member(answer, "cache_option", str),
        unfetched=tuple(str(name) for name in member(answer, "unfetched", list)),
    )


@contextlib.contextmanager
def _outlines() -> Iterator[Path | None]:
    """Give a folder for outlines, None where holes in files take room."""
    if os.name == "nt":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="uploader-outline-") as folder:
        yield Path(folder)
