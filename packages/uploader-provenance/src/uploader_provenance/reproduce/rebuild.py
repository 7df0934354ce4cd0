"""Make a release once more from what its manifest says; nothing is uploaded."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from uploader_core import api
from uploader_provenance.reproduce.materials import (
    Wanted,
    as_material,
    check_sources,
    find_sources,
)
from uploader_provenance.reproduce.published import NAME, Published, read_published
from uploader_provenance.reproduce.settings import Known, Restored, restore


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What was made.

    Attributes:
        release: The new release folder.
        lost: Recorded settings that could not be given again, in words.
        notes: Differences of the sources that change no format.
        error: What kept formats from being made; None when all were.
    """

    release: Published
    lost: tuple[str, ...]
    notes: tuple[str, ...]
    error: api.UploaderError | None = None


def open_release(reference: str, registry: api.Registry) -> Published:
    """Find a release: a folder, or a place that an installed plugin reads.

    Of a remote one only the manifest and other small files are fetched.

    Raises:
        UsageError: There is no such release.
        UploaderError: What the plugin says.
        IntegrityError: Its manifest is damaged.
    """
    folder = api.from_home(reference.removeprefix("dir:"))
    if folder.is_dir():
        return read_published(reference, folder.resolve(), complete=True)
    # hf:me/x is a destination, and me/x what it is called as a source.
    names = (reference, re.sub(r"^[a-z][a-z0-9.-]+:", "", reference))
    for name in dict.fromkeys(names):
        found = api.fetch(name, purpose="release", registry=registry)
        if found is not None:
            shown = f"{reference}@{found.revision}" if found.revision else reference
            return read_published(shown, found.path, complete=False)
    raise api.UsageError(
        f"there is no folder {reference}, and no installed plugin fetches it",
        next="give a release folder, or a place such as hf:user/model",
    )


def rebuild(
    release: Published,
    registry: api.Registry,
    *,
    given: tuple[str, ...],
    base: str | None,
    settings: Mapping[str, str],
    output: Path,
    jobs: int = 1,
    on_event: Callable[[api.Event], None] = lambda _: None,
) -> Rebuilt:
    """Make the formats of a release once more, from the same sources with the same settings.

    Args:
        release: What is reproduced.
        registry: Installed plugins.
        given: ``--from``.
        base: ``--base``.
        settings: ``--setting``, by ``PLUGIN.FIELD``.
        output: The new release folder.
        jobs: Workers side by side.
        on_event: As of :func:`uploader_core.api.run`.

    Raises:
        SourceError: A source is not the one that the release was made from, or a file is missing
            that only its maker has.
        UploaderError: It cannot be made at all.
    """
    wanted = find_sources(release, given, base)
    restored = restore(release, settings, functools.partial(_fields, registry))
    request = _request(release, registry, wanted, output)
    notes = _check_here(release, request, restored, registry)
    report = api.run(
        request,
        settings=restored.values,
        registry=registry,
        on_event=on_event,
        jobs=jobs,
        configured=False,
    )
    error = report.error()
    if not (output / NAME).is_file():
        raise error or api.IntegrityError(f"nothing of {release.reference} could be made")
    made = read_published(str(output), output, complete=True)
    # Of what was fetched the digests are known only now.
    materials = {str(m["kind"]): m for m in made.manifest["materials"]}
    check_sources(release, materials, release.sources)
    return Rebuilt(release=made, lost=restored.lost, notes=tuple(notes), error=error)


def _request(
    release: Published, registry: api.Registry, wanted: Wanted, output: Path
) -> api.Request:
    return api.Request(
        source=wanted.source,
        base=wanted.base,
        adapters=wanted.adapters,
        plugins=tuple(
            dict.fromkeys(_asked_for(str(made["kind"]), registry) for made in release.artifacts)
        ),
        name=release.name,
        output=output,
        leave_behind=tuple(release.manifest.get("policy", {}).get("leave_behind", ())),
    )


def _asked_for(kind: str, registry: api.Registry) -> str:
    """Return the kind of which another is a variant, or itself; settings say which are made."""
    known = registry.names(api.ARTIFACTS)
    return next((k for k in sorted(known, key=len)[::-1] if f"{kind}-".startswith(f"{k}-")), kind)


def _check_here(
    release: Published, request: api.Request, restored: Restored, registry: api.Registry
) -> list[str]:
    """Refuse sources of this machine that are others, before anything is made of them."""
    plan = api.plan(request, settings=restored.values, registry=registry, configured=False).plan
    outlines = [download.path.resolve() for download in plan.downloads if download.outline]
    here = {
        kind: artifact
        for kind, artifact in plan.sources.artifacts.items()
        if not any(artifact.path.resolve().is_relative_to(place) for place in outlines)
    }
    kinds = [kind for kind in release.sources if kind in here or not outlines]
    materials = {kind: as_material(here[kind]) for kind in kinds if kind in here}
    return check_sources(release, materials, kinds)


def _fields(registry: api.Registry, plugin_id: str) -> Mapping[str, Known]:
    """Return the fields of the settings of a plugin; nothing where it is missing or disabled.

    Formats of a plugin that is missing are refused by name when they are planned.
    """
    if plugin_id not in registry.enabled(api.PLUGINS):
        return {}
    specs = registry.load(plugin_id).specs
    return {
        field.name: Known(default=field.default, reads=bool(field.content), path=field.item is Path)
        for spec in specs
        if spec.settings is not None
        for field in api.fields_of(plugin_id, spec.settings)
    }
