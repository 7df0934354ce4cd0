"""Adapters and models in stores as sources: what a release can depend on, and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uploader_core.plugin import (
    CONFIGS,
    RELEASE,
    FetchedSource,
    SourceContext,
    SourceError,
    TemporaryError,
    shards_of,
    small_files,
    weights_of,
    write_outline,
)
from uploader_fsspec.fetching.blocks import fetch_file
from uploader_fsspec.fetching.cache import VARIABLE, Cache, revision_of
from uploader_fsspec.store.address import Address, parse_address
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.store import Entry, Store

_PARTS = re.compile(r"additional_chat_templates|(?:[a-z]+_)?\d{1,2}_[A-Z]\w*", re.ASCII)
"""Folders with parts of a model: templates, and modules by number and class (``1_Pooling``)."""

_SAFE = re.compile(r"[^\\:\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MOST_FOLDERS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """What is at an address.

    Attributes:
        address: As the user wrote it.
        entries: Its files, and those in folders that are parts of a model.
        cache: Where they are kept.
        purpose: ``source`` or ``base``.
    """

    address: Address
    entries: Mapping[str, Entry]
    cache: Cache
    purpose: str

    @property
    def folder(self) -> Path:
        """Where this state of it is kept."""
        return self.cache.folder(self.entries)

    @property
    def small(self) -> list[str]:
        """Files that are needed by every plan."""
        return small_files(self.entries)

    def weights(self) -> list[str]:
        """Return the names of the weights; the index is here already where there is one."""
        found = weights_of(self.entries, self.purpose)
        if found and found[0].endswith(".index.json"):
            shards = shards_of((self.folder / found[0]).read_bytes())
            return [name for name in shards if name in self.entries]
        return [*found]

    def is_here(self, name: str) -> bool:
        """Tell whether a file is in the cache."""
        return (self.folder / name).is_file()

    def fetched(self, path: Path, taken: Collection[str]) -> FetchedSource:
        """Say what was brought, and what stayed where it is."""
        others = {*self.entries} - {*taken} - {*weights_of(self.entries, self.purpose)}
        left = sorted(n for n in others if "/" not in n and not n.startswith("."))
        return FetchedSource(
            path=path,
            model_id=str(self.address),
            revision=revision_of(self.entries),
            unfetched=tuple(left),
        )


def fetch(context: SourceContext) -> FetchedSource:
    """Bring ``protocol://bucket/folder`` to this machine, or find it there.

    With ``context.outline`` weights that are not here yet are only outlined.

    Raises:
        SourceError: It does not exist, is no model, or is not here while offline.
        AuthError: It is not for this login.
        TemporaryError: The network, or it was changed meanwhile.
    """
    address = parse_address(context.reference)
    if address.local is not None:
        return _here(address, address.local)
    cache = Cache(address)
    is_release = context.purpose == RELEASE
    known = None if is_release else cache.recall()
    if context.offline:
        return _find(
            _Model(address=address, entries=known or {}, cache=cache, purpose=context.purpose)
        )
    store = open_store(context.reference, SourceError)
    try:
        entries = _look_at_release(store) if is_release else _look(store)
    except TemporaryError:
        if known is None:
            raise
        return _find(_Model(address=address, entries=known, cache=cache, purpose=context.purpose))
    model = _Model(address=address, entries=entries, cache=cache, purpose=context.purpose)
    if not is_release:
        cache.remember(entries)
    return _bring(store, model, context.outline)


def _here(address: Address, folder: Path) -> FetchedSource:
    """Take a folder of this machine as it is; what it holds is its reader's to say."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", owner=str(address), next="give its path")
    entries = {
        path.name: Entry(size=path.stat().st_size, identity=str(path.stat().st_mtime_ns))
        for path in folder.iterdir()
        if path.is_file()
    }
    return FetchedSource(path=folder, model_id=str(address), revision=revision_of(entries))


def _look(store: Store) -> dict[str, Entry]:
    """List the files of a model.

    Raises:
        SourceError: There is none, or a name that would not stay in its folder.
    """
    entries, folders = store.list_folder()
    if not entries.keys() & CONFIGS:
        raise _no_model(store, entries, folders)
    for folder in folders:
        if _PARTS.fullmatch(folder):
            entries |= store.list_folder(folder)[0]
    for name in entries:
        if not _SAFE.fullmatch(name):
            raise SourceError(
                f"{store.address} has a file named {name!r}, which would not stay in its folder",
                owner="whoever put it there",
                safe="nothing was written",
                next="do not trust this model; ask its owner",
            )
    return entries


def _look_at_release(store: Store) -> dict[str, Entry]:
    """List what a release says of itself; it may hold several models, or a GGUF alone."""
    entries, folders = store.list_folder()
    for folder in sorted(folders)[:_MOST_FOLDERS]:
        entries |= store.list_folder(folder)[0]
    return {name: entries[name] for name in small_files(entries) if _SAFE.fullmatch(name)}


def _no_model(store: Store, entries: Mapping[str, Entry], folders: Collection[str]) -> SourceError:
    """Say what is there where no model is, or which folder in it has one."""
    inside = [
        folder
        for folder in sorted(folders)[:_MOST_FOLDERS]
        if any(name.rpartition("/")[2] in CONFIGS for name in store.list_folder(folder)[0])
    ]
    names = [f"{folder}/" for folder in inside or folders]
    there = ", ".join(sorted(names if inside else [*entries, *names])[:8]) or "nothing"
    return SourceError(
        f"{store.address} holds neither an adapter (adapter_config.json) nor a model "
        f"(config.json); there is {there}",
        owner=str(store.address),
        safe="nothing was written",
        next=f"uploader run {store.address}/{inside[-1]}"
        if inside
        else "name the folder that the trainer saved",
    )


def _bring(store: Store, model: _Model, outlines: Path | None) -> FetchedSource:
    _fetch(store, model, model.small)
    weights = model.weights()
    for name in weights:
        model.cache.take_over(name, model.entries[name], model.folder / name)
    missing = [name for name in weights if not model.is_here(name)]
    fetched = model.fetched(model.folder, [*model.small, *weights])
    if outlines is None or not missing:
        _fetch(store, model, missing)
        return fetched
    outline = outlines / model.folder.name
    for name in model.small:
        where = outline / name
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model.folder / name, where)
    for name in weights:
        write_outline(outline / name, model.entries[name].size, partial(store.read_range, name))
    return FetchedSource(
        path=outline,
        model_id=fetched.model_id,
        revision=fetched.revision,
        unfetched=fetched.unfetched,
        outline=True,
        download=sum(model.entries[name].size for name in missing),
        cache=model.folder,
        cache_option=f"{VARIABLE}=FOLDER",
    )


def _fetch(store: Store, model: _Model, names: Collection[str]) -> None:
    for name in names:
        if not model.is_here(name):
            model.cache.take_over(name, model.entries[name], model.folder / name)
            fetch_file(store, name, model.entries[name], model.folder / name)


def _find(model: _Model) -> FetchedSource:
    """Find what an earlier run fetched.

    Raises:
        SourceError: It is not here, or not all of it.
    """
    if model.entries and all(map(model.is_here, model.small)):
        weights = model.weights()
        if weights and all(map(model.is_here, weights)):
            return model.fetched(model.folder, [*model.small, *weights])
    raise SourceError(
        f"{model.address} is not on this machine, and the store cannot be asked",
        owner="the network",
        safe="nothing was written",
        next="run it once where there is a network, or give a local folder",
    )
