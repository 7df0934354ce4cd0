"""Compare a repository with the manifest in it, from anywhere, without its weights.

What the Hub lists of large files holds their sha256, which the manifest has too. Of small ones it
lists git's id; those few kilobytes are fetched and compared with both.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_core.plugin import (
    ArtifactFile,
    IntegrityError,
    Problem,
    UsageError,
    Verification,
    VerifyContext,
    find_others,
    find_strangers,
    read_detached,
    read_manifest,
)
from uploader_hf.hub.client import make_api
from uploader_hf.hub.errors import translated
from uploader_hf.hub.patience import Patience
from uploader_hf.hub.remote import Remote, blob_id, list_all, list_remote
from uploader_hf.publishing.names import check_repo_id

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MANIFEST = "upload_manifest.json"
_TIMEOUT = 60.0


def verify(context: VerifyContext) -> Verification:
    """Compare ``user/model[@revision]`` with its own manifest.

    Raises:
        UsageError: The repository has no manifest, or the name is none.
        SourceError: It is not there, or not for this token.
        IntegrityError: The manifest is damaged.
        TemporaryError: The Hub or the network.
    """
    repo_id, _, revision = context.target.partition("@")
    check_repo_id(repo_id)
    api = make_api(context.secrets, repo_id, timeout=_TIMEOUT)
    patience = Patience(context.target)
    with (
        translated(f"verifying {context.target}", repo=context.target),
        tempfile.TemporaryDirectory(prefix="uploader-verify-") as folder,
    ):
        # Everything is asked of one commit, whatever is pushed meanwhile.
        info = patience.call(
            f"asking for {context.target}",
            lambda: api.repo_info(repo_id, revision=revision or None),
        )
        sha = str(info.sha)
        place = f"{api.endpoint}/{repo_id}/tree/{sha}"
        found = list_remote(api, patience, repo_id, sha, [MANIFEST])
        if MANIFEST not in found:
            raise UsageError(
                f"{context.target} has no {MANIFEST}",
                owner=place,
                next="verify a repository that `uploader run` published",
            )
        repo = _Repository(api, repo_id, sha, Path(folder))
        manifest = repo.read(MANIFEST, found[MANIFEST])
        listed = read_manifest(manifest, f"{place}: {MANIFEST}")
        remote = list_remote(api, patience, repo_id, sha, [file.name for file in listed])
        problems = [
            Problem(path=file.name, what=what)
            for file in listed
            if (what := _compare(file, remote.get(file.name), repo if context.full else None))
        ]
        there = list_all(api, patience, repo_id, sha)
        problems += find_strangers(manifest, there)
        sizes = {name: remote.size for name, remote in there.items()}
        documents, wrong = read_detached(manifest, sizes, lambda n: repo.read(n, there[n]))
    return Verification(
        files=len(listed),
        size=sum(file.size for file in listed),
        problems=(*problems, *wrong),
        where=place,
        documents=documents,
        others=find_others(manifest, there),
    )


class _Repository:
    """Small files of one commit."""

    def __init__(self, api: HfApi, repo_id: str, sha: str, folder: Path) -> None:
        self._api = api
        self._repo_id = repo_id
        self._sha = sha
        self._folder = folder

    def read(self, name: str, remote: Remote) -> bytes:
        """Fetch a file, past every cache.

        Raises:
            IntegrityError: It is not the one that is listed.
        """
        path = self._api.hf_hub_download(
            self._repo_id, name, revision=self._sha, local_dir=self._folder
        )
        content = Path(path).read_bytes()
        served = remote.sha256 or remote.blob_id
        if served not in (hashlib.sha256(content).hexdigest(), blob_id(len(content), [content])):
            raise IntegrityError(
                f"the Hub lists {name} and serves another content",
                owner=f"{self._api.endpoint}/{self._repo_id}",
                next="run the same command again",
            )
        return content


def _compare(
    file: ArtifactFile, remote: Remote | None, repository: _Repository | None
) -> str | None:
    """Return what is wrong with a file, None for nothing."""
    if remote is None:
        return "is missing"
    if remote.size != file.size:
        return f"has {remote.size:,} bytes, expected {file.size:,}"
    if repository is None:
        return None
    digest = remote.sha256
    if digest is None:
        digest = hashlib.sha256(repository.read(file.name, remote)).hexdigest()
    if digest != file.sha256:
        return f"has other content than recorded: sha256 {digest[:12]}, expected {file.sha256[:12]}"
    return None
