"""Who asks, and what they may see or change; every route begins here."""

from __future__ import annotations

from loopback_hub.server import Handler, Refusal, Token
from loopback_hub.store import Commit, Repo


def need_token(handler: Handler) -> Token:
    """Return who asks.

    Raises:
        Refusal: Nobody does, or with a token that this Hub did not give out.
    """
    token = handler.token()
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    return token


def find_repo(handler: Handler, repo_id: str, *, write: bool = False) -> Repo:
    """Find a repository that the asker may see, or write to.

    Raises:
        Refusal: 401, 403, or 404 for what is private to others, as at the Hub.
    """
    token = handler.token()
    repo = handler.hub.store.repos.get(repo_id)
    owner = repo_id.split("/")[0]
    sees = token is not None and token.sees(owner, repo_id)
    if repo is None or (repo.private and not sees):
        if token is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    if write:
        if token is None:
            raise Refusal(401, "Invalid username or password.")
        if not token.may_write(repo_id):
            raise Refusal(403, "Forbidden: this token may not write here.")
    return repo


def need_acceptance(handler: Handler, repo: Repo) -> None:
    """Keep the files of a gated repository from those whom its owner has not accepted.

    Raises:
        Refusal: 401 or 403, with the code by which the client knows it.
    """
    token = handler.token()
    if not repo.gated:
        return
    if token is None:
        raise Refusal(401, f"Access to model {repo.id} is restricted.", "GatedRepo")
    owner = repo.id.split("/")[0]
    if token.user not in repo.accepted and not token.sees(owner, repo.id):
        raise Refusal(403, f"Access to model {repo.id} is restricted.", "GatedRepo")


def find_commit(repo: Repo, revision: str) -> Commit:
    """Find a commit by branch, tag or sha.

    Raises:
        Refusal: 404; the client tells it from a missing repository by its code.
    """
    commit = repo.resolve(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit
