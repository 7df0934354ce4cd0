"""Compare what a registry has with the manifest of the release in it; no weights are brought."""

from __future__ import annotations

from collections.abc import Collection

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
from uploader_ollama.model.name import tag_of, tags_for
from uploader_ollama.registry.content import TITLE
from uploader_ollama.registry.place import SCHEME, open_registry, read_place

MANIFEST = "upload_manifest.json"


def verify(context: VerifyContext) -> Verification:
    """Compare ``host/namespace/model[:tag]`` and the tags of its kinds with the release's manifest.

    Of the tag of one kind, such as ``v1-q8_0``, the files of the others are not asked for.

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
                next=f"verify a model that --to {SCHEME} pushed; what --to oci: pushed has its "
                "manifest at the tag without -ollama: uploader verify oci:...",
            )
        manifest = registry.read_blob(*layers[MANIFEST])
        listed = read_manifest(manifest, f"{place}: {MANIFEST}")
        others = _of_other_kinds(manifest, place.tag, layers)
        listed = tuple(file for file in listed if file.name not in others)
        for tag in () if others else _tags(manifest, asked):
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


def _kinds(manifest: bytes) -> dict[str, str]:
    """Return the kind of each GGUF file of a release, by its name."""
    made = parse_json(manifest).get("artifacts", ())
    quants = [a.get("metadata", {}).get("quants") or {} for a in made]
    return {str(name): str(kind) for some in quants for name, kind in some.items()}


def _of_other_kinds(manifest: bytes, tag: str, here: Collection[str]) -> set[str]:
    """Return the files that are not at a tag of one kind; none where it is that of a release.

    Args:
        manifest: Of the release.
        tag: Any tag.
        here: Names of the files behind it.
    """
    kinds = _kinds(manifest)
    own = {
        kind
        for name, kind in kinds.items()
        if name in here and (tag == tag_of(kind) or tag.endswith(f"-{tag_of(kind)}"))
    }
    return {name for name, kind in kinds.items() if own and kind not in own}


def _tags(manifest: bytes, asked: str) -> list[str]:
    """Return the tags of the kinds that the release has."""
    every = sorted({*_kinds(manifest).values()})
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
