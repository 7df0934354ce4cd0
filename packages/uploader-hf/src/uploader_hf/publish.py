"""Publish to one repository: explicit files, one commit, listed again and compared before "done".

1. The repository is made private, or its visibility is read back, before the first byte.
2. What is there already with the same digest is not sent.
3. Large objects go up first; then one commit makes everything visible at once.
4. A commit whose answer was lost, or that met another, is looked for before it is repeated.
5. The tree is listed again; every path, size and digest must match.
6. Only then is the repository made public, if that was asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from uploader_core.plugin import (
    CHUNK,
    IntegrityError,
    Receipt,
    RefusedError,
    StepContext,
    TemporaryError,
    UploadFile,
)
from uploader_hf.check import check_visibility, find_repo
from uploader_hf.client import asked_to_wait, is_passing, make_api, no_token, translate, translated
from uploader_hf.stream import CountingFile, Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ATTEMPTS = 5
_PATHS_PER_CALL = 500
_LONGEST_WAIT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file at the Hub: its size, and sha256 (LFS) or git blob id."""

    size: int
    sha256: str | None
    blob_id: str


def upload(context: StepContext) -> Receipt:
    """Publish ``context.files`` to the repository ``context.target``."""
    settings = context.settings
    repo_id = context.target or ""
    api = make_api(context.secrets, timeout=settings.timeout)
    if not api.token:
        raise no_token()
    _prepare_repo(api, repo_id, settings)
    _choose_transport(api, repo_id, settings.revision)
    remote = list_remote(api, repo_id, settings.revision, [f.name for f in context.files])
    missing = [file for file in context.files if not matches(file, remote.get(file.name))]
    sent = 0
    if missing:
        sent = _send(context, api, repo_id, missing)
    revision = _verify(context, api, repo_id)
    private = _set_visibility(api, repo_id, public=settings.public)
    return context.receipt(
        url=f"{api.endpoint}/{repo_id}",
        revision=revision,
        private=private,
        files=len(context.files),
        bytes_sent=sent,
        metadata={"repo": repo_id, "branch": settings.revision, "files_sent": len(missing)},
    )


def _prepare_repo(api: HfApi, repo_id: str, settings: Any) -> None:
    """Make the repository, always private at first, or read back what it is."""
    info = find_repo(api, repo_id)
    if info is None:
        with translated(f"making {repo_id}", repo=repo_id):
            api.create_repo(repo_id, private=True, exist_ok=True)
        info = find_repo(api, repo_id)
        if info is None or not info.private:
            raise RefusedError(
                f"the Hub made {repo_id}, but not as a private repository",
                owner="the Hub",
                safe="nothing was sent",
                next=f"look at {api.endpoint}/{repo_id}/settings",
            )
    check_visibility(repo_id, private=bool(info.private), public_wanted=settings.public)
    if settings.revision != "main":
        with translated(f"making the branch {settings.revision}", repo=repo_id):
            api.create_branch(repo_id, branch=settings.revision, exist_ok=True)


def _choose_transport(api: HfApi, repo_id: str, revision: str) -> None:
    """Use plain LFS where the server has no Xet; the client does not find out by itself."""
    from huggingface_hub import constants
    from huggingface_hub.utils._http import get_session

    if getattr(constants, "HF_HUB_DISABLE_XET", True):
        return
    url = f"{api.endpoint}/api/models/{repo_id}/xet-write-token/{quote(revision, safe='')}"
    try:
        answer = get_session().get(url, headers={"Authorization": f"Bearer {api.token}"})
        available = answer.status_code == 200
    except Exception:
        available = False
    if not available:
        constants.HF_HUB_DISABLE_XET = True


def list_remote(api: HfApi, repo_id: str, revision: str, names: list[str]) -> dict[str, Remote]:
    """Ask the Hub what it has under some names.

    Returns:
        By name; a name that is not there is not among them.
    """
    from huggingface_hub.hf_api import RepoFile

    found: dict[str, Remote] = {}
    with translated(f"listing {repo_id}", repo=repo_id):
        for start in range(0, len(names), _PATHS_PER_CALL):
            part = names[start : start + _PATHS_PER_CALL]
            for info in api.get_paths_info(repo_id, part, revision=revision):
                if isinstance(info, RepoFile):
                    digest = None if info.lfs is None else info.lfs.sha256
                    found[info.path] = Remote(size=info.size, sha256=digest, blob_id=info.blob_id)
    return found


def matches(file: UploadFile, remote: Remote | None) -> bool:
    """Tell whether the Hub has a file as it is here."""
    if remote is None or remote.size != file.size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == file.sha256
    return remote.blob_id == git_blob_id(file)


def git_blob_id(file: UploadFile) -> str:
    """Return git's id of a file's content: sha1 over ``blob <size>\\0<content>``."""
    digest = hashlib.sha1(b"blob %d\0" % file.size)  # noqa: S324 - git's own
    with file.path.open("rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _send(context: StepContext, api: HfApi, repo_id: str, files: list[UploadFile]) -> int:
    """Send files and commit them, exactly once.

    Returns:
        Bytes that were sent, those of every attempt: an object that the Hub has already costs
        nothing. Xet does not tell; there it is the size of the files.
    """
    from huggingface_hub import constants

    ordered = sorted(files, key=lambda f: (f.role == "document", f.name))
    total = sum(file.size for file in ordered)
    counted = bool(getattr(constants, "HF_HUB_DISABLE_XET", True))
    sent = 0
    for attempt in range(1, ATTEMPTS + 1):
        progress = Progress(context, f"sending to {repo_id}", total)
        try:
            _commit(context, api, repo_id, ordered, progress)
            error = None
        except Exception as caught:
            if not is_passing(caught):
                raise translate(caught, f"sending to {repo_id}", repo=repo_id) from None
            error = caught
        sent += progress.done
        # Whatever the answer was, or none: what is listed now decides.
        if error is None or _arrived(api, repo_id, context.settings.revision, ordered):
            return sent if counted else total
        if attempt < ATTEMPTS:
            _wait(context, error, attempt, repo_id)
            # It may have come through late, while we waited.
            if _arrived(api, repo_id, context.settings.revision, ordered):
                return sent if counted else total
    assert error is not None
    raise translate(error, f"sending to {repo_id}", repo=repo_id) from None


def _arrived(api: HfApi, repo_id: str, revision: str, files: list[UploadFile]) -> bool:
    remote = list_remote(api, repo_id, revision, [f.name for f in files])
    return all(matches(file, remote.get(file.name)) for file in files)


def _commit(
    context: StepContext, api: HfApi, repo_id: str, files: list[UploadFile], progress: Progress
) -> None:
    from huggingface_hub import CommitOperationAdd, constants

    with contextlib.ExitStack() as streams:
        operations = []
        for file in files:
            # A stream of our own reports its bytes; Xet takes paths only.
            source: Any = str(file.path)
            if getattr(constants, "HF_HUB_DISABLE_XET", True):
                source = streams.enter_context(CountingFile(file.path, progress))
            operations.append(CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=source))
        progress.start()
        api.create_commit(
            repo_id,
            operations=operations,
            commit_message=context.settings.message,
            revision=context.settings.revision,
        )


def _wait(context: StepContext, error: BaseException, attempt: int, repo_id: str) -> None:
    """Wait before the next attempt, as long as the Hub says, with a visible countdown."""
    seconds = min(_LONGEST_WAIT, asked_to_wait(error) or 2 ** (attempt - 1))
    for left in range(seconds, 0, -1):
        context.progress(f"{repo_id}: trying again in {left} s", 0, None, "steps")
        time.sleep(1)


def _verify(context: StepContext, api: HfApi, repo_id: str) -> str:
    """Compare every file with what the Hub lists; return the commit that was compared.

    Raises:
        IntegrityError: Something is missing or different.
    """
    revision = context.settings.revision
    context.progress(f"verifying {repo_id}", 0, len(context.files), "files")
    with translated(f"reading the commit of {repo_id}", repo=repo_id):
        sha = api.repo_info(repo_id, revision=revision).sha
    if sha is None:
        raise TemporaryError(f"{repo_id} names no commit", next="run the same command again")
    remote = list_remote(api, repo_id, sha, [f.name for f in context.files])
    wrong = [file.name for file in context.files if not matches(file, remote.get(file.name))]
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} of {len(context.files)} files did not arrive in {repo_id} as they are "
            f"here: {', '.join(wrong[:3])}",
            owner="the Hub, or another upload at the same time",
            safe="the release folder is whole",
            next="run the same command again",
        )
    context.progress(f"verifying {repo_id}", len(context.files), len(context.files), "files")
    return str(sha)


def _set_visibility(api: HfApi, repo_id: str, *, public: bool) -> bool:
    """Make the repository public at last, if asked for; return whether it is private."""
    info = find_repo(api, repo_id)
    if info is not None and info.private and public:
        with translated(f"making {repo_id} public", repo=repo_id):
            api.update_repo_settings(repo_id, private=False)
        info = find_repo(api, repo_id)
    if info is None or (bool(info.private) and public) or (not info.private and not public):
        raise RefusedError(
            f"{repo_id} does not have the visibility that was asked for",
            owner="the Hub",
            safe="all files arrived",
            next=f"look at {api.endpoint}/{repo_id}/settings",
        )
    return bool(info.private)
