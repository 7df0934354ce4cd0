"""The repository around a commit: made, private, its branch, pull request, tag and visibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import RefusedError
from uploader_hf.hub.patience import Patience
from uploader_hf.publishing.check import check_visibility, look_up, opens_pull_request

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the commit goes.

    Attributes:
        repo_id: ``owner/name``.
        revision: Branch, or ``refs/pr/N``.
        pull_request: Address of the draft, None when the commit goes to a branch.
    """

    repo_id: str
    revision: str
    pull_request: str | None = None


def prepare(api: HfApi, patience: Patience, repo_id: str, settings: Any) -> Place:
    """Make the repository, always private at first, or read back what it is; then the branch.

    Raises:
        RefusedError: It is public and nobody asked for that, or the Hub did not make it private.
    """
    info = patience.call(f"asking for {repo_id}", lambda: look_up(api, repo_id))
    if info is None:
        patience.call(
            f"making {repo_id}", lambda: api.create_repo(repo_id, private=True, exist_ok=True)
        )
        info = patience.call(f"asking for {repo_id}", lambda: look_up(api, repo_id))
        if info is None or not info.private:
            raise RefusedError(
                f"the Hub made {repo_id}, but not as a private repository",
                owner="the Hub",
                safe="nothing was sent",
                next=f"look at {api.endpoint}/{repo_id}/settings",
            )
    check_visibility(repo_id, info, settings)
    if settings.revision != "main":
        patience.call(
            f"making the branch {settings.revision}",
            lambda: api.create_branch(repo_id, branch=settings.revision, exist_ok=True),
        )
    elif opens_pull_request(info, settings):
        return _pull_request(api, patience, repo_id, settings.message)
    return Place(repo_id=repo_id, revision=settings.revision)


def _pull_request(api: HfApi, patience: Patience, repo_id: str, title: str) -> Place:
    """Open a draft, or find the one that an earlier attempt opened."""

    def find_or_open() -> Any:
        # Who an identity is there, the Hub does not say.
        author = None if api.token is True else api.whoami()["name"]
        for found in api.get_repo_discussions(
            repo_id, author=author, discussion_type="pull_request"
        ):
            if found.status in ("draft", "open") and found.title == title:
                return found
        return api.create_pull_request(repo_id, title=title, description="Made with uploader.")

    found = patience.call(f"opening a pull request in {repo_id}", find_or_open)
    return Place(
        repo_id=repo_id,
        revision=f"refs/pr/{found.num}",
        pull_request=f"{api.endpoint}/{repo_id}/discussions/{found.num}",
    )


def set_tag(api: HfApi, patience: Patience, repo_id: str, tag: str, sha: str) -> None:
    """Tag a commit; a tag that is there already must be on the same commit.

    Raises:
        RefusedError: It is on another.
    """
    patience.call(
        f"setting the tag {tag}",
        lambda: api.create_tag(repo_id, tag=tag, revision=sha, exist_ok=True),
    )
    refs = patience.call(f"reading the tags of {repo_id}", lambda: api.list_repo_refs(repo_id))
    where = next((t.target_commit for t in refs.tags if t.name == tag), None)
    if where != sha:
        raise RefusedError(
            f"{repo_id} has a tag {tag} on another commit ({where})",
            owner=repo_id,
            safe="all files arrived; the tag was not moved",
            next="choose another --hf-tag",
        )


def set_visibility(api: HfApi, patience: Patience, repo_id: str, *, public: bool) -> bool:
    """Make the repository public at last, if asked for; return whether it is private.

    Raises:
        RefusedError: Read back, it is not what was asked for.
    """
    info = patience.call(f"asking for {repo_id}", lambda: look_up(api, repo_id))
    if info is not None and info.private and public:
        patience.call(
            f"making {repo_id} public", lambda: api.update_repo_settings(repo_id, private=False)
        )
        info = patience.call(f"asking for {repo_id}", lambda: look_up(api, repo_id))
    if info is None or bool(info.private) is public:
        raise RefusedError(
            f"{repo_id} does not have the visibility that was asked for",
            owner="the Hub",
            safe="all files arrived",
            next=f"look at {api.endpoint}/{repo_id}/settings",
        )
    return bool(info.private)


def join_collection(
    api: HfApi, patience: Patience, repo_id: str, title: str, *, public: bool
) -> str | None:
    """Put a repository into the owner's collection of that title; return its address.

    A collection only helps people to find the formats of a model. A token need not have the right
    to make one, so failing here fails nothing.
    """
    from uploader_core.plugin import CancelledError, UploaderError

    owner = repo_id.split("/")[0]

    def join() -> str:
        found = next((c for c in api.list_collections(owner=owner) if c.title == title), None)
        collection = found or api.create_collection(title, namespace=owner, private=not public)
        api.add_collection_item(collection.slug, repo_id, "model", exists_ok=True)
        return f"{api.endpoint}/collections/{collection.slug}"

    try:
        return patience.call(f"adding {repo_id} to the collection {title}", join)
    except CancelledError:
        raise
    except UploaderError:
        return None
