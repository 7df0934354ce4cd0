"""What the loopback Hub answers, route by route; the shapes are those that the client reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loopback_hub import community, login, reading, writing
from loopback_hub.access import find_commit, find_repo, need_token
from loopback_hub.server import Handler, Refusal, Token
from loopback_hub.store import Entry, pointer_size
from uploader_hf.model_card import rules


def dispatch(handler: Handler) -> None:
    """Answer one request.

    Raises:
        Refusal: The Hub's own error.
    """
    route = handler.route
    match (handler.command, *route):
        case ("GET", "api", "whoami-v2"):
            _whoami(handler)
        case ("GET", "_ci", "identity"):
            login.give_identity(handler)
        case ("POST", "oauth", "token"):
            login.exchange(handler)
        case ("POST", "api", "repos", "create"):
            _create(handler)
        case ("DELETE", "api", "repos", "delete"):
            _delete(handler)
        case ("POST", "api", "validate-yaml"):
            _validate_yaml(handler)
        case ("GET", "api", "models"):
            _list(handler)
        case (_, "api", "collections", *rest):
            community.collections(handler, tuple(rest))
        case (_, "api", "models", owner, name, *rest):
            _model(handler, f"{owner}/{name}", tuple(rest))
        case ("POST", owner, name, "info", "lfs", "objects", "batch") if name.endswith(".git"):
            writing.lfs_batch(handler, f"{owner}/{name.removesuffix('.git')}")
        case (_, "_lfs", oid, *rest):
            writing.lfs_object(handler, oid, tuple(rest))
        case (("GET" | "HEAD"), owner, name, "resolve", revision, *path):
            reading.resolve(handler, f"{owner}/{name}", revision, "/".join(path))
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


def _whoami(handler: Handler) -> None:
    token = need_token(handler)
    if token.role == "identity":
        # What the Hub answers is not written down: nobody should rely on it.
        raise Refusal(403, "an identity is no account")
    handler.answer(
        {
            "type": "user",
            "name": token.user,
            "orgs": [
                {"name": name, "roleInOrg": "read" if name in token.read_only else "write"}
                for name in (*token.organisations, *token.read_only)
            ],
            "isPro": False,
            "auth": {"type": "access_token", "accessToken": _access(token)},
        }
    )


def _access(token: Token) -> dict[str, Any]:
    if token.role != "fineGrained":
        return {"role": token.role}
    scoped = []
    for scope in token.scopes:
        kind = "model" if "/" in scope else "user" if scope == token.user else "org"
        entity = {"_id": scope, "type": kind, "name": scope}
        scoped.append({"entity": entity, "permissions": ["repo.content.read", "repo.write"]})
    return {"role": token.role, "fineGrained": {"global": [], "scoped": scoped}}


def _create(handler: Handler) -> None:
    token = need_token(handler)
    data = handler.json_body()
    namespace = data.get("organization") or token.user
    repo_id = f"{namespace}/{data['name']}"
    if not token.may_write(repo_id):
        raise Refusal(403, f"You don't have the rights to create a model under {namespace!r}")
    url = f"{handler.origin}/{repo_id}"
    with handler.hub.store.guard:
        if repo_id in handler.hub.store.repos:
            raise Refusal(409, "You already created this model repo", url=url)
        private = data.get("visibility") == "private" or bool(data.get("private"))
        handler.hub.store.create(repo_id, private=private)
    handler.answer({"url": url, "name": repo_id, "id": repo_id})


def _delete(handler: Handler) -> None:
    data = handler.json_body()
    owner = data.get("organization") or need_token(handler).user
    repo = find_repo(handler, f"{owner}/{data['name']}", write=True)
    handler.hub.store.delete(repo.id)
    handler.answer()


def _validate_yaml(handler: Handler) -> None:
    errors = rules.errors_of(str(handler.json_body().get("content", "")))
    data = {"errors": [{"message": error} for error in errors], "warnings": []}
    handler.answer(data, status=400 if errors else 200)


def _model(handler: Handler, repo_id: str, rest: tuple[str, ...]) -> None:
    routes: Mapping[str, Callable[..., None]] = {
        "preupload": writing.preupload,
        "commit": writing.commit,
        "tree": reading.tree,
        "paths-info": reading.paths_info,
        "branch": _branch,
        "tag": _tag,
    }
    match (handler.command, *rest):
        case ("GET",):
            _info(handler, repo_id, "main")
        case ("GET", "revision", revision):
            _info(handler, repo_id, revision)
        case ("PUT", "settings"):
            _settings(handler, repo_id)
        case ("GET", "auth-check", *kind):
            find_repo(handler, repo_id, write=kind == ["write"])
            handler.answer()
        case ("GET", "xet-write-token", revision):
            writing.xet_token(handler, repo_id, revision)
        case (_, "discussions", *which):
            community.discussions(handler, repo_id, tuple(which))
        case ("GET", "refs"):
            _refs(handler, repo_id)
        case ("GET", "commits", revision):
            _commits(handler, repo_id, revision)
        case (_, action, *arguments) if action in routes:
            routes[action](handler, repo_id, *arguments)
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


def _info(handler: Handler, repo_id: str, revision: str) -> None:
    repo = find_repo(handler, repo_id)
    commit = find_commit(repo, revision)
    handler.answer(
        {
            "_id": repo.id,
            "id": repo.id,
            "modelId": repo.id,
            "author": repo.id.split("/")[0],
            "sha": commit.sha,
            "private": repo.private,
            "gated": repo.gated,
            "usedStorage": repo.size,
            "xetEnabled": handler.hub.xet is not None,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [
                {"rfilename": name, "size": e.size, "blobId": e.oid, **_lfs_sibling(e)}
                for name, e in sorted(commit.files.items())
            ],
        }
    )


def _list(handler: Handler) -> None:
    token = handler.token()
    author = handler.query.get("author", "")
    sees = token is not None and token.sees(author)
    handler.answer(
        [
            {
                "_id": repo.id,
                "id": repo.id,
                "modelId": repo.id,
                "private": repo.private,
                "usedStorage": repo.size,
            }
            for repo in handler.hub.store.repos.values()
            if repo.id.startswith(author + "/") and (sees or not repo.private)
        ]
    )


def _lfs_sibling(entry: Entry) -> dict[str, Any]:
    if not entry.lfs:
        return {}
    return {
        "lfs": {
            "sha256": entry.sha256,
            "size": entry.size,
            "pointerSize": pointer_size(entry.sha256, entry.size),
        }
    }


def _settings(handler: Handler, repo_id: str) -> None:
    repo = find_repo(handler, repo_id, write=True)
    data = handler.json_body()
    if "private" in data or "visibility" in data:
        repo.private = data.get("visibility") == "private" or bool(data.get("private"))
    repo.gated = data.get("gated", repo.gated)
    handler.hub.store.save(repo)
    handler.answer({"private": repo.private, "gated": repo.gated})


def _refs(handler: Handler, repo_id: str) -> None:
    repo = find_repo(handler, repo_id)

    def refs(kind: str, found: Mapping[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
            for name, sha in sorted(found.items())
            if not name.startswith("refs/")
        ]

    handler.answer(
        {"branches": refs("heads", repo.branches), "converts": [], "tags": refs("tags", repo.tags)}
    )


def _commits(handler: Handler, repo_id: str, revision: str) -> None:
    repo = find_repo(handler, repo_id)
    find_commit(repo, revision)
    handler.answer(
        [
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.description,
                "date": "2026-01-01T00:00:00.000Z",
                "authors": [{"user": repo.id.split("/")[0]}],
            }
            for commit in repo.history(revision)
        ]
    )


def _branch(handler: Handler, repo_id: str, name: str) -> None:
    repo = find_repo(handler, repo_id, write=True)
    if handler.command == "DELETE":
        repo.branches.pop(name, None)
    elif name in repo.branches:
        raise Refusal(409, f"Reference already exists: {name}")
    else:
        start = handler.json_body().get("startingPoint") or "main"
        repo.branches[name] = find_commit(repo, start).sha
    handler.hub.store.save(repo)
    handler.answer()


def _tag(handler: Handler, repo_id: str, revision: str) -> None:
    repo = find_repo(handler, repo_id, write=True)
    if handler.command == "DELETE":
        repo.tags.pop(revision, None)
    else:
        name = str(handler.json_body()["tag"])
        if name in repo.tags:
            raise Refusal(409, f"Tag already exists: {name}")
        repo.tags[name] = find_commit(repo, revision).sha
    handler.hub.store.save(repo)
    handler.answer()
