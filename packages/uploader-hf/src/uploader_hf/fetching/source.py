"""Adapters and models on the Hub as sources, through the Hub's cache, pinned to a commit."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
)
from uploader_hf.fetching.outline import outline_weights
from uploader_hf.fetching.wanted import model_folder
from uploader_hf.hub.client import make_api
from uploader_hf.hub.errors import is_connection, translated

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listing:
    """What a repository holds at one commit.

    Attributes:
        model_id: ``user/model``.
        revision: Branch, tag or commit as asked for.
        sha: The commit.
        sizes: Bytes of each file, by its name in the folder.
        folder: Where in the repository the model lies; "" for its root.
    """

    model_id: str
    revision: str
    sha: str
    sizes: dict[str, int]
    folder: str = ""


def fetch(context: SourceContext) -> FetchedSource:
    """Bring ``user/model[@revision]`` into the Hub's cache, or find it there.

    A repository with nothing at its root and a model in one folder, as where several formats were
    published together, is taken for that model. With ``context.outline`` weights that are not in
    the cache are only outlined.

    Raises:
        SourceError: It does not exist, or is not in the cache while offline.
        AuthError: It is gated or private.
        TemporaryError: The network, or it was changed meanwhile.
    """
    model_id, _, revision = context.reference.partition("@")
    _refuse_strange(revision)
    api = make_api(context.secrets, model_id, timeout=_TIMEOUT)
    with translated(f"fetching {model_id}", repo=context.reference):
        listing = None if context.offline else _list(api, model_id, revision or "main")
        if listing is None:
            return _find(api, context, model_id, revision or "main")
        folder = "" if context.purpose == RELEASE else model_folder(model_id, listing.sizes)
        sizes = {n: listing.sizes[whole] for n, whole in _inside(listing.sizes, folder).items()}
        return _bring(api, context, replace(listing, sizes=sizes, folder=folder))


def _refuse_strange(revision: str) -> None:
    """Refuse what is no name in git and would be a path in the cache; adapters name revisions too.

    Raises:
        SourceError: It is.
    """
    if revision.startswith(("/", "-", ".")) or ".." in revision or not revision.isprintable():
        raise SourceError(
            f"{revision!r} is no name of a branch, tag or commit",
            safe="nothing was written",
            next="name the commit: user/model@COMMIT",
        )


def _list(api: HfApi, model_id: str, revision: str) -> _Listing | None:
    """Ask the Hub what there is; None when nobody answers."""
    try:
        info = api.model_info(model_id, revision=revision, files_metadata=True)
    except Exception as error:
        if is_connection(error):
            return None
        raise
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    for name in sizes:
        # No commit of git has such a file; a Hub that says so is none.
        if {"", ".", ".."} & {*name.split("/")} or "\0" in name:
            raise SourceError(
                f"{model_id} has a file named {name[:200]!r}, which would not stay in its folder",
                owner="whoever answers as the Hub",
                safe="nothing was written",
                next="do not trust this model; see where HF_ENDPOINT leads",
            )
    return _Listing(model_id=model_id, revision=revision, sha=str(info.sha), sizes=sizes)


def _bring(api: HfApi, context: SourceContext, listing: _Listing) -> FetchedSource:
    names = listing.sizes.keys()
    folder = _download(api, listing, small_files(names))
    weights = [n for n in _weights(folder, names, context.purpose) if n in names]
    others = {*names} - {*small_files(names), *weights, *weights_of(names, context.purpose)}
    fetched = FetchedSource(
        path=folder,
        model_id=listing.model_id,
        revision=listing.sha,
        unfetched=tuple(sorted(n for n in others if "/" not in n and not n.startswith("."))),
    )
    if all((folder / name).is_file() for name in weights):
        return fetched
    if context.outline is None:
        _download(api, listing, weights)
        return fetched
    for name in small_files(names):
        where = context.outline / name
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, where)
    for name in weights:
        there = _at(name, listing.folder)
        where = context.outline / name
        outline_weights(api, listing.model_id, listing.sha, there, listing.sizes[name], where)
    missing = [name for name in weights if not (folder / name).is_file()]
    return replace(
        fetched,
        path=context.outline,
        outline=True,
        download=sum(listing.sizes[name] for name in missing),
        cache=folder,
        cache_option="HF_HOME=FOLDER",
    )


def _download(api: HfApi, listing: _Listing, names: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    # By the name and not by the commit, so that the cache remembers it for when it is offline.
    folder = snapshot_download(
        listing.model_id,
        revision=listing.revision,
        allow_patterns=[_at(name, listing.folder).replace("[", "[[]") for name in names],
        endpoint=api.endpoint,
        token=api.token,
    )
    path = Path(folder)
    if path.name != listing.sha:
        raise TemporaryError(
            f"{listing.model_id} was changed while it was fetched",
            owner="whoever pushed to it",
            safe="nothing was written",
            next="run the same command again",
        )
    return path / listing.folder


def _find(api: HfApi, context: SourceContext, model_id: str, revision: str) -> FetchedSource:
    """Find what an earlier run or ``hf download`` left in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        # Only by these: the client calls a cache incomplete that lacks what nobody needs.
        snapshot = Path(
            snapshot_download(
                model_id,
                revision=revision,
                allow_patterns=sorted(CONFIGS),
                local_files_only=True,
            )
        )
        found = {p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file()}
        folder = model_folder(model_id, found)
        names = set(_inside(found, folder))
        path = snapshot / folder
        weights = _weights(path, names, context.purpose)
    except LocalEntryNotFoundError:
        weights, names = (), set()
    if not weights or not names.issuperset(weights):
        raise SourceError(
            f"{context.reference} is not in the cache, and the Hub cannot be reached",
            owner="HF_HUB_OFFLINE" if context.offline else "the network",
            safe="nothing was written",
            next=f"hf download {model_id}"
            + (f" --revision {revision}" if revision != "main" else "")
            + ", or give a local folder"
            + (" with --base" if context.purpose == "base" else ""),
        )
    return FetchedSource(path=path, model_id=model_id, revision=snapshot.name)


def _at(name: str, folder: str) -> str:
    return f"{folder}/{name}" if folder else name


def _inside(names: Iterable[str], folder: str) -> dict[str, str]:
    """Return names by what they are called within a folder of the repository."""
    if not folder:
        return {name: name for name in names}
    start = f"{folder}/"
    return {name.removeprefix(start): name for name in names if name.startswith(start)}


def _weights(folder: Path, names: Collection[str], purpose: str) -> tuple[str, ...]:
    """Return the names of the weights; ``folder`` holds the index where there is one."""
    found = weights_of(names, purpose)
    if found and found[0].endswith(".index.json"):
        return tuple(shards_of((folder / found[0]).read_bytes()))
    return found
