"""Which files are behind a manifest, in whatever form it was pushed.

ModelPack's tools, KitOps, oras and we name a file's path in an annotation. Docker Model Runner
names none in its first form; it calls weights by their number. Folders that ``oras push`` was given
are archives, and so are ModelPack's layers that are not ``raw``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import CONFIGS, SourceError
from uploader_oci.modelpack.layers import FILEPATH, TITLE
from uploader_oci.registry.manifests import DOCKER_INDEX, OCI_INDEX

_ORAS_UNPACK = "io.deis.oras.content.unpack"
_IMAGE = re.compile(r"application/vnd\.(oci|docker)\.(image\.rootfs|image\.layer|container\.image)")
_UNNAMED_WEIGHTS = "application/vnd.docker.ai.safetensors"
_SAFE = re.compile(r"[^\\:\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_WANTED = re.compile(
    r"[^/]+\.(json|jinja|txt|model|tiktoken|safetensors)"
    r"|(README|LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*",
    re.ASCII,
)
"""Names of files that a release can depend on: never code or pickles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A layer that has files for us.

    Attributes:
        name: Path of the file; of an archive the folder that it is unpacked into, "" for the root.
        digest: Of the blob.
        size: Bytes of it.
        archive: ``tar``, ``tar+gzip``, or "" for a file as it is.
    """

    name: str
    digest: str
    size: int
    archive: str = ""


def parts_of(manifest: Mapping[str, Any], place: str) -> list[Part]:
    """Return the files of a manifest.

    Args:
        manifest: As JSON.
        place: Where it is, for messages.

    Raises:
        SourceError: It is a container image, has a name that no file may have, or an archive that
            cannot be unpacked here.
    """
    layers = [layer for layer in manifest.get("layers") or () if isinstance(layer, dict)]
    unnamed = [x for x in layers if x.get("mediaType") == _UNNAMED_WEIGHTS and not _name(x)]
    found: list[Part] = []
    for layer in layers:
        media_type, name = str(layer.get("mediaType")), _name(layer)
        if not name and layer in unnamed:
            name = _weights_name(unnamed.index(layer) + 1, len(unnamed))
        archive = _archive(media_type, layer, name, place)
        if not name and not archive:
            continue  # a GGUF of Docker's, a Kitfile's data: nothing that a release is made from
        found.append(
            Part(
                name="" if archive else check_name(name, place),
                digest=str(layer.get("digest")),
                size=int(layer.get("size") or 0),
                archive=archive,
            )
        )
    if not found:
        image = any(_IMAGE.match(str(layer.get("mediaType"))) for layer in layers)
        raise SourceError(
            f"{place} holds {'a container image' if image else 'no files with names'}",
            owner=place,
            safe="nothing was written",
            next="name a tag with an adapter or a model in safetensors, or pull it and give the "
            "folder",
        )
    return found


def check_name(name: str, place: str) -> str:
    """Return the name of a file that stays in its folder.

    Raises:
        SourceError: It would leave it.
    """
    parts = name.split("/")
    if not _SAFE.fullmatch(name) or any(part in ("", ".", "..") for part in parts):
        raise SourceError(
            f"{place} has a file named {name!r}, which would not stay in its folder",
            owner="whoever pushed it",
            safe="nothing was written",
            next="do not trust this model; ask its owner",
        )
    return name


def wanted(names: Iterable[str]) -> list[str]:
    """Return the names of the files that a release can depend on."""
    return [name for name in names if _WANTED.fullmatch(name.rpartition("/")[2])]


def choose_folder(names: Iterable[str], place: str) -> str:
    """Return the folder with the adapter or model: the root, or the only one that has one.

    Raises:
        SourceError: Several have.
    """
    places = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in CONFIGS}
    if "" in places or not places:
        return ""
    # Modules of an embedding model have a config.json each, below that of the model.
    tops = sorted(p for p in places if not any(p.startswith(f"{q}/") for q in places))
    if len(tops) == 1:
        return tops[0]
    raise SourceError(
        f"{place} holds several: {', '.join(tops)}",
        owner=place,
        safe="nothing was written",
        next=f"oras pull {place}, then: uploader run ./{tops[-1]}",
    )


def is_index(media_type: str, manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest only lists others."""
    return media_type in (OCI_INDEX, DOCKER_INDEX) or "manifests" in manifest


def only_one(index: Mapping[str, Any], place: str) -> str:
    """Return the digest of the only manifest of an index.

    Raises:
        SourceError: There are several.
    """
    listed: Sequence[Any] = index.get("manifests") or ()
    digests = [str(entry.get("digest")) for entry in listed if isinstance(entry, dict)]
    if len(digests) == 1:
        return digests[0]
    name = place.partition("@")[0].rpartition(":")[0] or place
    raise SourceError(
        f"{place} is an index of {len(digests)} manifests",
        owner=place,
        safe="nothing was written",
        next=" or ".join(f"oci:{name}@{digest}" for digest in digests[:4]) or "name another tag",
    )


def _name(layer: Mapping[str, Any]) -> str:
    about = layer.get("annotations")
    found = about.get(FILEPATH) or about.get(TITLE) if isinstance(about, dict) else None
    return found if isinstance(found, str) else ""


def _archive(media_type: str, layer: Mapping[str, Any], name: str, place: str) -> str:
    """Return how a layer is packed; "" for a file as it is."""
    about = layer.get("annotations")
    unpack = isinstance(about, dict) and about.get(_ORAS_UNPACK) == "true"
    packed = re.search(r"\.tar(?:\+(\w+))?$", media_type)
    if _IMAGE.match(media_type) and not unpack:
        # oras calls every file a layer of an image, .tar. What oras for Python packs is .tar+gzip,
        # has the name of a folder, and nothing that says so; without a name it is an image's.
        packed = packed if name and packed and packed[1] and not wanted([name]) else None
    if packed is None and not unpack:
        return ""
    how = packed[1] if packed else "gzip"
    if how not in (None, "gzip"):
        raise SourceError(
            f"{name or 'a layer'} of {place} is packed with {how}",
            owner=place,
            safe="nothing was written",
            next="pull it with the tool that pushed it, and give the folder",
        )
    return "tar+gzip" if how else "tar"


def _weights_name(number: int, count: int) -> str:
    """Return what Docker Model Runner calls weights without a name."""
    return "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
