"""Compare what a registry has with the manifest of the release in it; no weights are brought."""

from __future__ import annotations

from uploader_core.plugin import (
    ArrivalContext,
    ArtifactFile,
    CleanUpContext,
    Problem,
    UsageError,
    Verification,
    VerifyContext,
    parse_json,
    read_manifest,
)
from uploader_oci.registry.client import Registry
from uploader_oci.registry.sessions import give_up
from uploader_ollama.model.name import tags_for
from uploader_ollama.registry.content import TITLE
from uploader_ollama.registry.place import open_registry, read_place

MANIFEST = "upload_manifest.json"


def verify(context: VerifyContext) -> Verification:
    """Compare ``host/namespace/model[:tag]`` and the tags of its kinds with the release's manifest.

    Raises:
        UsageError: There is no such manifest.
        SourceError: There is no such tag, or not for this login.
        UploaderError: The registry, or the network.
    """
    place, asked = read_place(context.target)
    with open_registry(place, context.settings, context.secrets) as registry:
        layers = _layers(registry, place.tag)
        if MANIFEST not in layers:
            raise UsageError(
                f"{place} has no {MANIFEST}",
                owner=str(place),
                next="verify a model that `uploader run` pushed",
            )
        manifest = registry.read_blob(*layers[MANIFEST])
        listed = read_manifest(manifest, f"{place}: {MANIFEST}")
        for tag in _tags(manifest, asked):
            if registry.find_manifest(tag) is not None:
                layers = {**_layers(registry, tag), **layers}
        problems = [
            Problem(path=file.name, what=what)
            for file in listed
            if (what := _compare(registry, file, layers.get(file.name)))
        ]
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=tuple(problems),
        where=str(place),
    )


def still_there(context: ArrivalContext) -> bool:
    """Tell whether every tag is the manifest that it was then; a request for each.

    Raises:
        UploaderError: The registry, or the network.
    """
    place, _ = read_place(context.target)
    tags = context.receipt.metadata.get("tags")
    if not isinstance(tags, dict):
        return False
    with open_registry(place, context.settings, context.secrets) as registry:
        found = {tag: registry.find_manifest(tag) for tag in tags}
    return all(m is not None and m.digest == tags[tag] for tag, m in found.items())


def clean_up(context: CleanUpContext) -> bool:
    """End uploads that were begun, unless this run goes on with them; False where one is kept."""
    place, _ = read_place(context.target)
    if context.again:
        return False
    gone = True
    with open_registry(
        place, context.settings, context.secrets, push=True, state=context.state
    ) as registry:
        for session in list(registry.journal):
            ended = give_up(registry.transport, session)
            gone = gone and ended
            if ended:
                registry.journal.drop(session)
    return gone


def tags_there(registry: Registry, tag: str, asked: str) -> list[str]:
    """Return the tags of the release that a tag is part of; none where that is no release.

    Args:
        registry: The repository.
        tag: The plain one.
        asked: What the user named, "" for none.
    """
    if registry.find_manifest(tag) is None:
        return []
    layers = _layers(registry, tag)
    if MANIFEST not in layers:
        return []
    try:
        return _tags(registry.read_blob(*layers[MANIFEST]), asked)
    except (ValueError, AttributeError, TypeError):  # another's file of that name
        return []


def _layers(registry: Registry, tag: str) -> dict[str, tuple[str, int]]:
    """Return digest and size of the layers that are files of a release, by their names."""
    found = {}
    for layer in registry.get_manifest(tag).parse().get("layers", ()):
        title = (layer.get("annotations") or {}).get(TITLE)
        if title:
            found[str(title)] = (str(layer["digest"]), int(layer["size"]))
    return found


def _tags(manifest: bytes, asked: str) -> list[str]:
    """Return the tags of the kinds that the release has."""
    made = parse_json(manifest).get("artifacts", ())
    kinds = {
        str(kind) for a in made for kind in (a.get("metadata", {}).get("quants") or {}).values()
    }
    every = sorted(kinds)
    return [tag for tags in tags_for(asked, every, "").values() for tag in tags]


def _compare(registry: Registry, file: ArtifactFile, layer: tuple[str, int] | None) -> str | None:
    """Return what is wrong with a file, None for nothing."""
    if layer is None:
        return "is missing"
    digest, size = layer
    if size != file.size:
        return f"has {size:,} bytes, expected {file.size:,}"
    if digest != f"sha256:{file.sha256}":
        return f"has other content than recorded: {digest[:19]}, expected sha256:{file.sha256[:12]}"
    if not registry.has_blob(digest, size):
        return "is named and not there, or with another size"
    return None
