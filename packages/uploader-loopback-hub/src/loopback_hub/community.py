"""Pull requests and collections of the loopback Hub."""

from __future__ import annotations

import re
from typing import Any

from loopback_hub.access import find_commit, find_repo, need_token
from loopback_hub.server import Handler, Refusal
from loopback_hub.store import Repo

_MOMENT = "2026-01-01T00:00:00.000Z"


def discussions(handler: Handler, repo_id: str, which: tuple[str, ...]) -> None:
    """Answer about pull requests: all of them, one, a new one, or merge one."""
    match (handler.command, *which):
        case ("GET",):
            repo = find_repo(handler, repo_id)
            author = handler.query.get("author")
            found = [
                _summary(repo, number)
                for number, pull in sorted(repo.pulls.items(), key=lambda item: int(item[0]))
                if author in (None, pull["author"])
            ]
            handler.answer({"discussions": found, "count": len(found), "start": 0})
        case ("POST",):
            _open(handler, repo_id)
        case ("GET", number):
            repo = find_repo(handler, repo_id)
            if number not in repo.pulls:
                raise Refusal(404, "no such discussion")
            details = {"changes": {"base": "refs/heads/main"}, "filesWithConflicts": []}
            handler.answer({**_summary(repo, number), **details, "events": [], "diff": ""})
        case ("POST", number, "status"):
            repo = find_repo(handler, repo_id, write=True)
            repo.pulls[number]["status"] = handler.json_body()["status"]
            handler.hub.store.save(repo)
            handler.answer({"newStatus": _event("status-change", repo, number)})
        case ("POST", number, "merge"):
            _merge(handler, repo_id, number)
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


def _open(handler: Handler, repo_id: str) -> None:
    repo = find_repo(handler, repo_id)
    token = need_token(handler)
    if token.role == "read":
        raise Refusal(403, "Forbidden: this token may not open pull requests.")
    data = handler.json_body()
    if not data.get("pullRequest"):
        raise Refusal(400, "this Hub has pull requests only")
    with handler.hub.store.guard:
        number = str(len(repo.pulls) + 1)
        repo.pulls[number] = {"title": data["title"], "author": token.user, "status": "draft"}
        repo.branches[f"refs/pr/{number}"] = find_commit(repo, "main").sha
        handler.hub.store.save(repo)
    handler.answer({**_summary(repo, number), "pullRequest": True})


def _merge(handler: Handler, repo_id: str, number: str) -> None:
    repo = find_repo(handler, repo_id, write=True)
    pull = repo.pulls[number]
    if pull["status"] == "draft":
        raise Refusal(400, "a draft cannot be merged")
    with handler.hub.store.guard:
        files = {**find_commit(repo, "main").files, **find_commit(repo, f"refs/pr/{number}").files}
        handler.hub.store.add_commit(repo, "main", pull["title"], "", files)
        pull["status"] = "merged"
        handler.hub.store.save(repo)
    handler.answer({"newStatus": _event("status-change", repo, number)})


def _summary(repo: Repo, number: str) -> dict[str, Any]:
    pull = repo.pulls[number]
    return {
        "num": int(number),
        "title": pull["title"],
        "author": {"name": pull["author"]},
        "createdAt": _MOMENT,
        "status": pull["status"],
        "isPullRequest": True,
        "repo": {"name": repo.id, "type": "model"},
    }


def _event(kind: str, repo: Repo, number: str) -> dict[str, Any]:
    pull = repo.pulls[number]
    return {
        "id": f"{repo.id}-{number}",
        "type": kind,
        "createdAt": _MOMENT,
        "author": {"name": pull["author"]},
        "data": {"status": pull["status"]},
    }


def collections(handler: Handler, rest: tuple[str, ...]) -> None:
    """Answer about collections: an owner's, one, a new one, or a new item in one."""
    store = handler.hub.store
    match (handler.command, *rest):
        case ("GET",):
            owner = handler.query.get("owner")
            found = [c for c in store.collections.values() if owner in (None, c["owner"]["name"])]
            seen = [c for c in found if not c["private"] or _owns(handler, c)]
            # The client numbers what it lists itself.
            handler.answer([{k: v for k, v in c.items() if k != "position"} for c in seen])
        case ("POST",):
            data = handler.json_body()
            owner = data["namespace"]
            if not need_token(handler).may_write(owner):
                raise Refusal(403, f"You may not make collections for {owner}")
            name = re.sub(r"[^a-z0-9]+", "-", data["title"].lower()).strip("-")
            slug = f"{owner}/{name}-{len(store.collections):024x}"
            store.collections[slug] = {
                "slug": slug,
                "title": data["title"],
                "owner": {"name": owner},
                "private": bool(data.get("private")),
                "items": [],
                "lastUpdated": _MOMENT,
                "position": 0,
                "theme": "blue",
                "upvotes": 0,
            }
            store.save_collections()
            handler.answer(store.collections[slug])
        case ("GET", owner, name):
            handler.answer(_collection(handler, f"{owner}/{name}"))
        case ("POST", owner, name, "items"):
            _add_item(handler, f"{owner}/{name}")
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


def _add_item(handler: Handler, slug: str) -> None:
    collection = _collection(handler, slug)
    if not need_token(handler).may_write(collection["owner"]["name"]):
        raise Refusal(403, "You may not change this collection")
    item = handler.json_body()["item"]
    find_repo(handler, item["id"])
    if any(known["id"] == item["id"] for known in collection["items"]):
        raise Refusal(409, "Item already exists in this collection")
    number = len(collection["items"])
    collection["items"].append({"_id": f"{number:024x}", "position": number, **item})
    handler.hub.store.save_collections()
    handler.answer(collection)


def _collection(handler: Handler, slug: str) -> dict[str, Any]:
    collection = handler.hub.store.collections.get(slug)
    if collection is None or (collection["private"] and not _owns(handler, collection)):
        raise Refusal(404, "Collection not found")
    return collection


def _owns(handler: Handler, collection: dict[str, Any]) -> bool:
    token = handler.token()
    owner = collection["owner"]["name"]
    return token is not None and token.sees(owner)
