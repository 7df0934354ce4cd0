"""The sources of a release: where to get them, and whether some folder holds the very same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import Artifact, SourceError, hash_file, is_local
from uploader_provenance.reproduce.published import Published

STACK = "adapter-stack"
_SAYS_NOTHING = re.compile(r"(README|LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*", re.IGNORECASE)
"""Files of a source that documents may quote and no format is computed from."""

_SERVER = re.compile(r"[^/]*:(?://)?[^/]*(?:/|$)")
"""How a name begins that says where it is, and is no id on the Hub: ``oci:ghcr.io/``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the rebuild starts from.

    Attributes:
        source: Folder, or name with the recorded commit.
        base: The same, None where the source is a full model.
        adapters: More adapters of a stack, ``REFERENCE=WEIGHT``.
    """

    source: str
    base: str | None = None
    adapters: tuple[str, ...] = ()


def find_sources(release: Published, given: tuple[str, ...], base: str | None) -> Wanted:
    """Say where the sources of a release are.

    Args:
        release: What is reproduced.
        given: ``--from``: folders or names, for a stack one for each adapter in its order.
        base: ``--base``.

    Raises:
        SourceError: The manifest does not say where one is, and neither did the user.
    """
    kind = str(release.manifest["source"])
    material = release.material(kind)
    if material is None:
        raise SourceError(
            f"the manifest of {release.reference} does not say what it was made from",
            owner=f"no material of kind {kind}",
            safe="nothing was made",
            next="ask who published it",
        )
    weights = [
        (str(part["folder"]), float(part["weight"]))
        for part in material["metadata"].get("adapters", ())
    ]
    parts = weights if kind == STACK else []
    named = tuple(given) or tuple(filter(None, [_recorded(release, material)]))
    if len(named) != max(len(parts), 1):
        wanted = f"{len(parts)} adapters in this order: {', '.join(n for n, _ in parts)}"
        raise SourceError(
            f"the manifest of {release.reference} does not say where its source can be fetched"
            if not given
            else f"--from names {len(given)} sources, and the release was made from {len(parts)}",
            owner=_elsewhere(material)
            or f"the source was a folder of whoever made it: {_shown(material)}",
            safe="nothing was made",
            next=f"--from once for each of {wanted}" if parts else "--from FOLDER with that source",
        )
    needed = bool(parts) or "base" in release.sources
    below = release.material("base") if needed else None
    base = base or (None if below is None else _recorded(release, below) or _named_base(release))
    if below is not None and base is None:
        raise SourceError(
            f"the manifest of {release.reference} does not say where its base model can be fetched",
            owner=_elsewhere(below) or "the base was a folder of whoever made it",
            safe="nothing was made",
            next="--base FOLDER with that model",
        )
    if parts and parts[0][1] != 1:
        # A stack whose first adapter has a weight is typed as the base with adapters.
        stack = tuple(f"{n}={w}" for n, (_, w) in zip(named, parts, strict=True))
        return Wanted(source=str(base), adapters=stack)
    more = tuple(f"{n}={w}" for n, (_, w) in zip(named[1:], parts[1:], strict=True))
    return Wanted(source=named[0], base=base, adapters=more)


def check_sources(
    release: Published, here: Mapping[str, Mapping[str, Any]], kinds: Iterable[str]
) -> list[str]:
    """Compare sources with what the release was made from.

    Args:
        release: What is reproduced.
        here: By kind, in the form of ``materials``: ``files`` and ``metadata``.
        kinds: Which are compared.

    Returns:
        What differs and changes no format, in words.

    Raises:
        SourceError: Something else differs, named.
    """
    notes: list[str] = []
    for kind in kinds:
        material = release.material(kind)
        if material is None or kind not in here:
            raise _wrong(release, kind, "it had none" if material is None else "there is none")
        recorded, found = _by_name(material), _by_name(here[kind])
        for name in sorted(recorded.keys() | found.keys()):
            what = _difference(recorded.get(name), found.get(name))
            if what is None:
                continue
            if not _SAYS_NOTHING.fullmatch(name.rpartition("/")[2]):
                raise _wrong(release, kind, f"{name} {what}")
            notes.append(f"{kind}: {name} {what}")
    return notes


def as_material(artifact: Artifact) -> dict[str, Any]:
    """Return an artifact of this machine in the form of ``materials``, all digests among it."""
    return {
        "metadata": artifact.metadata,
        "files": [
            {
                "path": file.name,
                "size": file.size,
                "sha256": file.sha256 or hash_file(artifact.path / file.name)[1],
            }
            for file in artifact.files
        ],
    }


def _difference(recorded: Any, here: Any) -> str | None:
    if recorded is None:
        return "was not there then"
    if here is None:
        return "is missing"
    if recorded["size"] != here["size"]:
        return f"has {here['size']:,} bytes, and had {recorded['size']:,}"
    # Where nothing was made from a file's content, nobody read it.
    if recorded["sha256"] and here["sha256"] and recorded["sha256"] != here["sha256"]:
        return f"has the digest {here['sha256'][:12]}, and had {recorded['sha256'][:12]}"
    return None


def _by_name(material: Mapping[str, Any]) -> dict[str, Any]:
    """Return files by name; those of a stack by the number of the adapter, and in its folder."""
    files = {str(file["path"]): file for file in material["files"]}
    adapters = material["metadata"].get("adapters")
    if not adapters:
        return files
    starts = [f"{part['folder']}/" for part in adapters]  # the folders may be called otherwise here
    return {
        f"{number}/{name.removeprefix(start)}": file
        for number, start in enumerate(starts)
        for name, file in files.items()
        if name.startswith(start)
    }


def _recorded(release: Published, material: Mapping[str, Any]) -> str | None:
    """Return name and commit, where the manifest has them."""
    model, revision = (material["metadata"].get(name) for name in ("model_id", "revision"))
    return _public(release, model, revision)


def _named_base(release: Published) -> str | None:
    name, revision = (release.manifest[key] for key in ("base_model", "base_revision"))
    return _public(release, name, revision)


def _public(release: Published, name: str | None, revision: str | None) -> str | None:
    """Return a name with its commit, if nothing speaks against fetching it.

    None that would lead to a folder of this machine; nor to another server than that of the release
    or the Hub, for whoever wrote the manifest would choose who is shown a login of the user's.
    """
    if not name or not revision or is_local(name) or is_local(f"{name}@{revision}"):
        return None
    server = _SERVER.match(name)
    if server is not None and not release.reference.startswith(server[0]):
        return None
    return f"{name}@{revision}"


def _elsewhere(material: Mapping[str, Any]) -> str | None:
    name = material["metadata"].get("model_id")
    if not name or not _SERVER.match(name):
        return None
    return f"{name}: neither on the Hub nor where the release is, so not fetched by its word"


def _shown(material: Mapping[str, Any]) -> str:
    names = [str(f["path"]) for f in material["files"]]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _wrong(release: Published, kind: str, what: str) -> SourceError:
    option = "--base" if kind == "base" else "--from"
    return SourceError(
        f"this is not the {kind} that {release.reference} was made from: {what}",
        owner=f"{kind}, compared with the digests in its manifest",
        safe="nothing was made",
        next=f"{option} with the {kind} of the time, at the commit that the release names",
    )
