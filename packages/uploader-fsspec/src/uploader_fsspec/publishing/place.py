"""What a folder of a store holds with respect to a release: ours, others', and the journal.

While a release is brought its names are in a journal, and the manifest of the one before is not
there: whoever finds a manifest finds everything that it lists. Whatever a kill leaves is known by
the journal as ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uploader_core.plugin import Leftovers, RefusedError, find_leftovers, parse_json
from uploader_fsspec.store.store import Entry, Store

MANIFEST = "upload_manifest.json"
JOURNAL = "upload_manifest.json.journal.partial"
"""As in a folder of this machine."""

ALLOW, FOREIGN = "--fsspec-allow-secret", "--fsspec-foreign"

_LARGEST = 64 << 20


def refuse_strange(store: Store, there: Mapping[str, Entry]) -> None:
    """Refuse a folder that has files and was never a destination.

    Raises:
        RefusedError: It is one.
    """
    if there and not there.keys() & {MANIFEST, JOURNAL}:
        raise RefusedError(
            f"{store.address} is not empty and holds no {MANIFEST}",
            owner="whoever put files there",
            safe="nothing in it was touched",
            next="choose a new folder",
        )


def leftovers(
    store: Store,
    there: Mapping[str, Entry],
    files: Iterable[str],
    loads: Sequence[str],
    *,
    kinds: Iterable[str],
    **more: Any,
) -> Leftovers:
    """Compare what is there with what comes; see :func:`~uploader_core.plugin.find_leftovers`."""
    return find_leftovers(
        there.keys() - {JOURNAL},
        files,
        loads,
        kinds=kinds,
        manifest=read_manifest_of(store, there),
        place=str(store.address),
        journal=journal_of(store, there),
        **more,
    )


def read_manifest_of(store: Store, there: Mapping[str, Entry]) -> bytes | None:
    """Return the manifest there, None without one.

    Raises:
        RefusedError: It is far too large to be one.
    """
    if MANIFEST not in there:
        return None
    size = there[MANIFEST].size
    if size > _LARGEST:
        raise RefusedError(
            f"{MANIFEST} in {store.address} has {size:,} bytes",
            owner=str(store.address),
            safe="nothing there was changed",
            next="check that this is a release",
        )
    return store.read(MANIFEST, size)


def journal_of(store: Store, there: Mapping[str, Entry]) -> list[str]:
    """Return the names that an upload that broke off wrote down; none without a journal."""
    if JOURNAL not in there or there[JOURNAL].size > _LARGEST:
        return []
    try:
        names = parse_json(store.read(JOURNAL, there[JOURNAL].size))["files"]
        return [str(name) for name in names]
    except (ValueError, KeyError, TypeError):
        return []  # no run of ours writes such a one


def begin(store: Store, there: Mapping[str, Entry], names: Iterable[str]) -> None:
    """Write down which names are ours, then take away the manifest that holds no more."""
    all_names = sorted({*names, *journal_of(store, there)})
    store.put_bytes(JOURNAL, json.dumps({"files": all_names}).encode())
    if MANIFEST in there:
        store.remove([MANIFEST])
