"""What the Hub has: files by name with their digests, compared with those that are here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uploader_core.plugin import CHUNK, UploadFile
from uploader_hf.hub.patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_PATHS_PER_CALL = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file at the Hub: its size, and sha256 (LFS) or git blob id."""

    size: int
    sha256: str | None
    blob_id: str


def list_remote(
    api: HfApi, patience: Patience, repo_id: str, revision: str, names: Iterable[str]
) -> dict[str, Remote]:
    """Ask the Hub what it has under some names.

    Returns:
        By name; a name that is not there is not among them.
    """
    from huggingface_hub.hf_api import RepoFile

    names = list(names)
    found: dict[str, Remote] = {}
    for start in range(0, len(names), _PATHS_PER_CALL):
        part = names[start : start + _PATHS_PER_CALL]
        listing = patience.call(
            f"listing {repo_id}",
            lambda part=part: list(api.get_paths_info(repo_id, part, revision=revision)),  # type: ignore[misc]
        )
        for info in listing:
            if isinstance(info, RepoFile):
                found[info.path] = _remote(info)
    return found


def list_all(api: HfApi, patience: Patience, repo_id: str, revision: str) -> dict[str, Remote]:
    """Ask the Hub for all files of a revision, by name."""
    from huggingface_hub.hf_api import RepoFile

    listing = patience.call(
        f"listing {repo_id}",
        lambda: list(api.list_repo_tree(repo_id, recursive=True, revision=revision)),
    )
    return {info.path: _remote(info) for info in listing if isinstance(info, RepoFile)}


def _remote(info: RepoFile) -> Remote:
    digest = None if info.lfs is None else info.lfs.sha256
    return Remote(size=info.size, sha256=digest, blob_id=info.blob_id)


def differing(
    files: Sequence[UploadFile],
    remote: Mapping[str, Remote],
    tell: Callable[[int, int], None] = lambda *_: None,
) -> list[UploadFile]:
    """Return the files that the Hub does not have as they are here.

    Args:
        files: Those that are here. Of large ones nothing is read.
        remote: What the Hub lists.
        tell: Called with the number of files compared so far, and of all.
    """
    found = []
    for number, file in enumerate(files):
        tell(number, len(files))
        if not matches(file, remote.get(file.name)):
            found.append(file)
    tell(len(files), len(files))
    return found


def matches(file: UploadFile, remote: Remote | None) -> bool:
    """Return whether the Hub has a file as it is here."""
    if remote is None or remote.size != file.size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == file.sha256
    return remote.blob_id == git_blob_id(file)


def git_blob_id(file: UploadFile) -> str:
    """Return git's id of a file's content, see :func:`blob_id`."""
    with file.path.open("rb") as handle:
        return blob_id(file.size, iter(lambda: handle.read(CHUNK), b""))


def blob_id(size: int, blocks: Iterable[bytes]) -> str:
    """Return git's id of a content: sha1 over ``blob <size>\\0<content>``."""
    digest = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 - git's own
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
