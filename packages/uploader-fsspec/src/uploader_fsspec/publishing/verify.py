"""Compare what is in a store with the manifest there, from anywhere, and ask whether it is ours."""

from __future__ import annotations

import hashlib

from uploader_core.plugin import (
    ArrivalContext,
    ArtifactFile,
    Problem,
    SourceError,
    UsageError,
    Verification,
    VerifyContext,
    find_others,
    find_strangers,
    read_detached,
    read_manifest,
)
from uploader_fsspec.publishing.place import MANIFEST, read_manifest_of
from uploader_fsspec.publishing.publish import MANIFEST_DIGEST
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.store import Entry, Store


def verify(context: VerifyContext) -> Verification:
    """Compare a folder of a store with its own manifest.

    Raises:
        UsageError: There is no manifest of a release in it.
        IntegrityError: The manifest is damaged.
        UploaderError: What the store refuses, or the network.
    """
    store = open_store(context.target, SourceError)
    there = store.list_all()
    text = read_manifest_of(store, there)
    if text is None:
        raise UsageError(
            f"{store.address} has no {MANIFEST}",
            owner=str(store.address),
            next="verify a folder that `uploader run` filled; a run that broke off is finished by "
            "the same command",
        )
    listed = read_manifest(text, f"{store.address}/{MANIFEST}")
    read = context.settings.verify == "read"
    problems = [
        Problem(path=file.name, what=what)
        for file in listed
        if (what := _compare(store, file, there.get(file.name), full=context.full, read=read))
    ]
    sizes = {name: entry.size for name, entry in there.items()}
    documents, wrong = read_detached(text, sizes, lambda name: store.read(name, sizes[name]))
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=(*problems, *find_strangers(text, there), *wrong),
        where=str(store.address),
        documents=documents,
        others=find_others(text, there),
    )


def still_there(context: ArrivalContext) -> bool:
    """Tell whether the manifest is the one that was brought, and its files have their sizes."""
    store = open_store(context.target, SourceError)
    there = store.list_all()
    text = read_manifest_of(store, there)
    brought = context.receipt.metadata.get(MANIFEST_DIGEST)
    if text is None or hashlib.sha256(text).hexdigest() != brought:
        return False
    listed = read_manifest(text, MANIFEST)
    return all(file.name in there and there[file.name].size == file.size for file in listed)


def _compare(
    store: Store, file: ArtifactFile, entry: Entry | None, *, full: bool, read: bool
) -> str | None:
    """Return what is wrong with a file, None for nothing."""
    if entry is None:
        return "is missing"
    if entry.size != file.size:
        return f"has {entry.size:,} bytes, expected {file.size:,}"
    if full and not store.holds_digest(file.name, file.sha256, entry, read=read):
        return "has other content than recorded"
    return None
