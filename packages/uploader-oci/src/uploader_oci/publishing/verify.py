"""Compare what a tag stands for with the manifest of the release in it, from anywhere.

A registry names files by their sha256, which the manifest of the release has too: nothing large is
read, unless ``--oci-verify read`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploader_core.plugin import (
    ArtifactFile,
    Problem,
    UploaderError,
    UsageError,
    Verification,
    VerifyContext,
    find_others,
    find_strangers,
    read_detached,
    read_manifest,
)
from uploader_oci.modelpack.layers import names_in
from uploader_oci.publishing.publish import is_ours, options_of
from uploader_oci.publishing.tags import MANIFEST
from uploader_oci.registry.client import Registry
from uploader_oci.registry.reference import parse_reference

_LARGEST = 64 << 20


def verify(context: VerifyContext) -> Verification:
    """Compare ``host/repo[:tag][@digest]`` with its own manifest.

    Raises:
        UsageError: There is no manifest of a release in it, or the name is none.
        SourceError: It is not there, or not for this login.
        IntegrityError: The manifest is damaged.
        TemporaryError: The registry or the network.
    """
    place = parse_reference(context.target, owner="uploader verify oci:")
    options = options_of(context.settings)
    with Registry(place, secrets=context.secrets, options=options) as registry:
        manifest = registry.get_manifest(place.version)
        layers = names_in(manifest.parse())
        where = f"{registry.place}@{manifest.digest}"
        if MANIFEST not in layers:
            raise UsageError(
                f"{context.target} has no {MANIFEST}",
                owner=where,
                next="verify the tag without -ollama, or TAG-modelpack: a form for one program "
                "leaves it out"
                if is_ours(registry, manifest.digest)
                else "verify a tag that `uploader run` pushed",
            )

        def read(name: str) -> bytes:
            about = layers[name]
            return registry.read_blob(str(about["digest"]), int(about["size"]), limit=_LARGEST)

        text = read(MANIFEST)
        listed = read_manifest(text, f"{where}: {MANIFEST}")
        deep = context.full and context.settings.verify == "read"
        problems = [
            Problem(path=file.name, what=what)
            for file in listed
            if (what := _compare(registry, file, layers.get(file.name), deep=deep))
        ]
        problems += find_strangers(text, layers)
        sizes = {name: int(layer["size"]) for name, layer in layers.items()}
        documents, wrong = read_detached(text, sizes, read)
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=(*problems, *wrong),
        where=where,
        documents=documents,
        others=find_others(text, layers),
    )


def _compare(
    registry: Registry, file: ArtifactFile, layer: Mapping[str, Any] | None, *, deep: bool
) -> str | None:
    """Return what is wrong with a file, None for nothing."""
    if layer is None:
        return "is missing"
    size, digest = layer.get("size"), str(layer.get("digest"))
    if size != file.size:
        return f"has {size:,} bytes, expected {file.size:,}"
    if digest != f"sha256:{file.sha256}":
        return f"has other content than recorded: {digest[:19]}, expected {file.sha256[:12]}"
    if not registry.has_blob(digest, file.size):
        return "is in the manifest, and the registry does not have it"
    if deep:
        try:
            for _ in registry.open_blob(digest, file.size):
                pass
        except UploaderError as error:
            return f"cannot be read back: {error}"
    return None
