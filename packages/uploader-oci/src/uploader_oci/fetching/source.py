"""Adapters and models in registries as sources, pinned to the digest of a manifest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    RELEASE,
    FetchedSource,
    SourceContext,
    SourceError,
    TemporaryError,
    small_files,
    write_outline,
)
from uploader_oci.fetching.archives import unpack
from uploader_oci.fetching.cache import VARIABLE, Cache
from uploader_oci.fetching.contents import (
    Part,
    choose_folder,
    is_index,
    only_one,
    parts_of,
    wanted,
)
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import Reference, parse_reference

_SCHEME = "oci:"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What a reference stands for.

    Attributes:
        place: As the user wrote it.
        digest: Of the manifest.
        parts: Its files.
    """

    place: Reference
    digest: str
    parts: tuple[Part, ...]

    @property
    def wanted(self) -> list[Part]:
        """The files and archives that a release can depend on."""
        names = {*wanted(part.name for part in self.parts)}
        return [part for part in self.parts if part.archive or part.name in names]

    @property
    def others(self) -> tuple[str, ...]:
        """Names of files that are left where they are."""
        taken = {part.name for part in self.wanted}
        return tuple(sorted(part.name for part in self.parts if part.name not in taken))


def fetch(context: SourceContext) -> FetchedSource:
    """Bring ``oci:host/repository[:tag][@digest]`` to this machine, or find it there.

    With ``context.outline`` weights that are not here yet are only outlined, unless they are in an
    archive.

    Raises:
        SourceError: It does not exist, is no model, or is not here while offline.
        AuthError: It is private.
        TemporaryError: The network.
    """
    place = parse_reference(context.reference.removeprefix(_SCHEME), owner=context.reference)
    cache = Cache()
    if context.offline:
        return _find(cache, place)
    # A source has no settings of its own; the variable of the destination's counts.
    plain = os.environ.get("UPLOADER_OCI_PLAIN_HTTP", "").lower() in {"1", "true", "yes", "on"}
    options = Options(plain_http=plain)
    with Registry(place, secrets=context.secrets, options=options) as registry:
        try:
            found = _look_up(registry, cache, place)
        except TemporaryError:
            if cache.recall(place) is None:
                raise
            return _find(cache, place)
        if context.purpose == RELEASE:
            return _bring_small(registry, cache, found)
        return _bring(registry, context, cache, found)


def _look_up(registry: Registry, cache: Cache, place: Reference) -> _Found:
    answer = registry.get_manifest(place.version)
    manifest = answer.parse()
    if is_index(answer.media_type, manifest):
        answer = registry.get_manifest(only_one(manifest, str(place)))
        manifest = answer.parse()
    cache.remember(place, answer.digest, answer.content)
    return _found(place, answer.digest, manifest)


def _found(place: Reference, digest: str, manifest: Mapping[str, Any]) -> _Found:
    return _Found(place=place, digest=digest, parts=tuple(parts_of(manifest, str(place))))


def _bring(
    registry: Registry, context: SourceContext, cache: Cache, found: _Found
) -> FetchedSource:
    folder = cache.folder(found.place, found.digest)
    missing = [part for part in found.wanted if not _is_here(folder, part)]
    weights = [part for part in missing if part.name.endswith(".safetensors")]
    for part in missing:
        if context.outline is None or part not in weights:
            _fetch_part(registry, folder, part, str(found.place))
    if context.outline is None or not weights:
        return _source(found, folder)
    outline = context.outline / folder.name
    shutil.copytree(folder, outline, copy_function=_copy_small)
    for part in found.wanted:
        if part.name.endswith(".safetensors"):
            read = partial(registry.read_range, part.digest)
            write_outline(outline / part.name, part.size, read)
    return replace(
        _source(found, outline),
        outline=True,
        download=sum(part.size for part in weights),
        cache=folder,
        cache_option=f"{VARIABLE}=FOLDER",
    )


def _bring_small(registry: Registry, cache: Cache, found: _Found) -> FetchedSource:
    """Bring what a release says of itself, whatever models are in it."""
    folder = cache.folder(found.place, found.digest)
    small = {*small_files(part.name for part in found.parts if not part.archive)}
    for part in found.parts:
        if part.name in small and not _is_here(folder, part):
            _fetch_part(registry, folder, part, str(found.place))
    place = replace(found.place, tag="", digest="")
    return FetchedSource(path=folder, model_id=f"{_SCHEME}{place}", revision=found.digest)


def _copy_small(source: str, target: str) -> None:
    if not source.endswith(".safetensors"):
        shutil.copyfile(source, target)


def _find(cache: Cache, place: Reference) -> FetchedSource:
    """Find what an earlier run fetched.

    Raises:
        SourceError: It is not here, or not all of it.
    """
    recalled = cache.recall(place)
    if recalled is not None:
        found = _found(place, *recalled)
        folder = cache.folder(place, found.digest)
        if all(_is_here(folder, part) for part in found.wanted):
            return _source(found, folder)
    raise SourceError(
        f"{place} is not on this machine, and the registry cannot be asked",
        owner="the network",
        safe="nothing was written",
        next=f"oras pull {place} where there is a network, or give a local folder",
    )


def _source(found: _Found, folder: Path) -> FetchedSource:
    """Say what was brought, and where in it the model is."""
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    place = replace(found.place, tag="", digest="")
    return FetchedSource(
        path=folder / choose_folder(names, str(found.place)),
        model_id=f"{_SCHEME}{place}",
        revision=found.digest,
        unfetched=tuple(name for name in found.others if "/" not in name),
    )


def _marker(folder: Path, part: Part) -> Path:
    """Return the file that says that an archive was unpacked."""
    return folder.parent / f"{part.digest.removeprefix('sha256:')[:32]}.unpacked"


def _is_here(folder: Path, part: Part) -> bool:
    if part.archive:
        return _marker(folder, part).is_file()
    path = folder / part.name
    return path.is_file() and path.stat().st_size == part.size


def _fetch_part(registry: Registry, folder: Path, part: Part, place: str) -> None:
    """Write a file, or unpack an archive, once all of it was compared with its digest."""
    target = folder / part.name
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=folder.parent, suffix=".partial", delete=False
    ) as file:  # several processes may fetch the same
        partial = Path(file.name)
        try:
            registry.open_blob(part.digest, part.size).copy_to(file.file)
            file.close()
            if part.archive:
                unpack(partial, part.archive, folder, place)
                _marker(folder, part).touch()
            else:
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
