"""What of a repository a release replaces: an earlier release's files, and those of nobody's.

A release that lies there was made by one commit, and its manifest lists it. Before this version of
uploader nothing was taken away, so files of a release before that one may be there too: manifests
of earlier commits tell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_core.plugin import (
    ArtifactFile,
    IntegrityError,
    Leftovers,
    PlanContext,
    StepContext,
    find_leftovers,
    read_manifest,
)
from uploader_hf.hub.patience import Patience
from uploader_hf.hub.remote import Remote, list_all, list_remote

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OPTION = "--hf-foreign"
MANIFEST = "upload_manifest.json"

_OLDEST = 50
"""Commits that are looked into for a manifest of ours, the newest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coming:
    """What a release brings.

    Attributes:
        files: Names, as far as they are known.
        loads: Patterns of names that programs load.
        kinds: Artifact kinds.
        documents: Whether documents are among the files.
    """

    files: tuple[str, ...]
    loads: tuple[str, ...]
    kinds: tuple[str, ...]
    documents: bool

    @classmethod
    def of_step(cls, context: StepContext) -> Coming:
        """Return what an upload step sends."""
        return cls(
            files=tuple(file.name for file in context.files),
            loads=context.loads,
            kinds=tuple(artifact.kind for artifact in context.inputs),
            documents=True,
        )

    @classmethod
    def of_plan(cls, context: PlanContext) -> Coming:
        """Return what is known of it while it is planned."""
        return cls(
            files=context.files,
            loads=context.loads,
            kinds=tuple(artifact.kind for artifact in context.inputs),
            documents=False,
        )


def find_replaced(
    api: HfApi, patience: Patience, repo_id: str, revision: str, coming: Coming
) -> Leftovers:
    """Compare what a revision has with a release; see :func:`find_leftovers`.

    Args:
        api: Client.
        patience: For its questions.
        repo_id: Repository.
        revision: Branch or commit.
        coming: The release.

    Raises:
        RefusedError: The manifest there cannot be read.
    """
    there = list_all(api, patience, repo_id, revision)
    manifest = None
    if MANIFEST in there:
        manifest = _read(api, patience, repo_id, revision)

    def look(journal: Iterable[str] = ()) -> Leftovers:
        return find_leftovers(
            there,
            coming.files,
            coming.loads,
            kinds=coming.kinds,
            manifest=manifest,
            place=repo_id,
            documents=coming.documents,
            journal=journal,
        )

    left = look()
    if left.foreign:
        left = look(_released_before(api, patience, repo_id, revision, left.foreign, there))
    return left


def _read(api: HfApi, patience: Patience, repo_id: str, revision: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="uploader-manifest-") as folder:
        path = patience.call(
            f"reading {MANIFEST} of {repo_id}",
            lambda: api.hf_hub_download(repo_id, MANIFEST, revision=revision, local_dir=folder),
        )
        return Path(path).read_bytes()


def _released_before(
    api: HfApi,
    patience: Patience,
    repo_id: str,
    revision: str,
    names: Sequence[str],
    there: Mapping[str, Remote],
) -> set[str]:
    """Return which of some files a manifest of an earlier commit lists as they are now."""
    commits = patience.call(
        f"reading the history of {repo_id}",
        lambda: list(api.list_repo_commits(repo_id, revision=revision)),
    )
    found: set[str] = set()
    for commit in commits[:_OLDEST]:
        if found.issuperset(names):
            break
        for file in _listed_at(api, patience, repo_id, commit.commit_id):
            if file.name in names and _is_as_listed(file, there[file.name]):
                found.add(file.name)
    return found


def _listed_at(api: HfApi, patience: Patience, repo_id: str, sha: str) -> tuple[ArtifactFile, ...]:
    """Return what the manifest of a commit lists; nothing where there is none that can be read."""
    if MANIFEST not in list_remote(api, patience, repo_id, sha, [MANIFEST]):
        return ()
    try:
        return read_manifest(_read(api, patience, repo_id, sha), MANIFEST)
    except IntegrityError:
        return ()


def _is_as_listed(file: ArtifactFile, remote: Remote) -> bool:
    """Return whether a file is what a manifest lists; of small ones the Hub lists no sha256."""
    return file.size == remote.size and remote.sha256 in (None, file.sha256)
