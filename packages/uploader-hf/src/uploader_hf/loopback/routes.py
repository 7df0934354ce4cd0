"""What the loopback Hub answers, route by route; the shapes are those that the client reads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote

from uploader_hf.loopback.server import Handler, Refusal, Token
from uploader_hf.loopback.store import Commit, Entry, Repo, blob_id, pointer

LFS_SIZE = 10 << 20
_LFS_NAMES = re.compile(
    r".+\.(safetensors|gguf|bin|pt|pth|onnx|msgpack|h5|model|npz|zip|tar|gz|png|jpg)"
)


def dispatch(handler: Handler) -> None:
    """Answer one request.

    Raises:
        Refusal: The Hub's own error.
    """
    route = handler.route
    match (handler.command, *route):
        case ("GET", "api", "whoami-v2"):
            _whoami(handler)
        case ("POST", "api", "repos", "create"):
            _create(handler)
        case ("DELETE", "api", "repos", "delete"):
            _delete(handler)
        case ("POST", "api", "validate-yaml"):
            _validate_yaml(handler)
        case (_, "api", "models", owner, name, *rest):
            _model(handler, f"{owner}/{name}", tuple(rest))
        case ("POST", owner, name, "info", "lfs", "objects", "batch") if name.endswith(".git"):
            _lfs_batch(handler, f"{owner}/{name.removesuffix('.git')}")
        case (_, "_lfs", oid, *rest):
            _lfs_object(handler, oid, tuple(rest))
        case (("GET" | "HEAD"), owner, name, "resolve", revision, *path):
            _resolve(handler, f"{owner}/{name}", revision, "/".join(path))
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


# -- accounts and repositories -------------------------------------------------------------------


def _need_token(handler: Handler) -> Token:
    token = handler.token()
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    return token


def _whoami(handler: Handler) -> None:
    token = _need_token(handler)
    handler.answer(
        {
            "type": "user",
            "name": token.user,
            "orgs": [{"name": o, "roleInOrg": "write"} for o in token.organisations],
            "auth": {"type": "access_token", "accessToken": {"role": token.role}},
        }
    )


def _create(handler: Handler) -> None:
    token = _need_token(handler)
    data = handler.json_body()
    namespace = data.get("organization") or token.user
    repo_id = f"{namespace}/{data['name']}"
    if not token.may_write(namespace):
        raise Refusal(403, f"You don't have the rights to create a model under {namespace!r}")
    url = f"{handler.hub.url}/{repo_id}"
    with handler.hub.store.guard:
        if repo_id in handler.hub.store.repos:
            raise Refusal(409, "You already created this model repo", url=url)
        private = data.get("visibility") == "private" or bool(data.get("private"))
        handler.hub.store.create(repo_id, private=private)
    handler.answer({"url": url, "name": repo_id, "id": repo_id})


def _delete(handler: Handler) -> None:
    data = handler.json_body()
    owner = data.get("organization") or _need_token(handler).user
    repo = _repo(handler, f"{owner}/{data['name']}", write=True)
    handler.hub.store.delete(repo.id)
    handler.answer()


def _repo(handler: Handler, repo_id: str, *, write: bool = False) -> Repo:
    """Find a repository that the asker may see, or write to."""
    token = handler.token()
    repo = handler.hub.store.repos.get(repo_id)
    owner = repo_id.split("/")[0]
    sees = token is not None and (owner == token.user or owner in token.organisations)
    if repo is None or (repo.private and not sees):
        if token is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    if write:
        if token is None:
            raise Refusal(401, "Invalid username or password.")
        if not token.may_write(owner):
            raise Refusal(403, "Forbidden: this token may not write here.")
    return repo


def _commit(repo: Repo, revision: str) -> Commit:
    commit = repo.resolve(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def _validate_yaml(handler: Handler) -> None:
    content = str(handler.json_body().get("content", ""))
    head = re.match(r"---\n(.*?)\n---", content, re.DOTALL)
    errors = [
        {"message": '"base_model" must be a Hub id, not a local path'}
        for line in (head[1].splitlines() if head else [])
        if re.match(r"base_model:\s*[/~]", line)
    ]
    status = 400 if errors else 200
    handler.answer({"errors": errors, "warnings": []}, status=status)


def _model(handler: Handler, repo_id: str, rest: tuple[str, ...]) -> None:
    routes: Mapping[str, Callable[..., None]] = {
        "preupload": _preupload,
        "commit": _commit_route,
        "tree": _tree,
        "paths-info": _paths_info,
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
            _repo(handler, repo_id, write=kind == ["write"])
            handler.answer()
        case ("GET", "refs"):
            _refs(handler, repo_id)
        case ("GET", "commits", revision):
            _commits(handler, repo_id, revision)
        case (_, action, *arguments) if action in routes:
            routes[action](handler, repo_id, *arguments)
        case _:
            raise Refusal(404, f"no such route: {handler.command} {handler.path}")


def _info(handler: Handler, repo_id: str, revision: str) -> None:
    repo = _repo(handler, repo_id)
    commit = _commit(repo, revision)
    handler.answer(
        {
            "_id": repo.id,
            "id": repo.id,
            "modelId": repo.id,
            "author": repo.id.split("/")[0],
            "sha": commit.sha,
            "private": repo.private,
            "gated": False,
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


def _lfs_sibling(entry: Entry) -> dict[str, Any]:
    if not entry.lfs:
        return {}
    return {"lfs": {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}}


def _settings(handler: Handler, repo_id: str) -> None:
    repo = _repo(handler, repo_id, write=True)
    data = handler.json_body()
    if "private" in data or "visibility" in data:
        repo.private = data.get("visibility") == "private" or bool(data.get("private"))
        handler.hub.store.save(repo)
    handler.answer({"private": repo.private})


def _refs(handler: Handler, repo_id: str) -> None:
    repo = _repo(handler, repo_id)

    def refs(kind: str, found: Mapping[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
            for name, sha in sorted(found.items())
        ]

    handler.answer(
        {"branches": refs("heads", repo.branches), "converts": [], "tags": refs("tags", repo.tags)}
    )


def _commits(handler: Handler, repo_id: str, revision: str) -> None:
    repo = _repo(handler, repo_id)
    _commit(repo, revision)
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
    repo = _repo(handler, repo_id, write=True)
    if handler.command == "DELETE":
        repo.branches.pop(name, None)
    elif name in repo.branches:
        raise Refusal(409, f"Reference already exists: {name}")
    else:
        start = handler.json_body().get("startingPoint") or "main"
        repo.branches[name] = _commit(repo, start).sha
    handler.hub.store.save(repo)
    handler.answer()


def _tag(handler: Handler, repo_id: str, revision: str) -> None:
    repo = _repo(handler, repo_id, write=True)
    if handler.command == "DELETE":
        repo.tags.pop(revision, None)
    else:
        name = str(handler.json_body()["tag"])
        if name in repo.tags:
            raise Refusal(409, f"Tag already exists: {name}")
        repo.tags[name] = _commit(repo, revision).sha
    handler.hub.store.save(repo)
    handler.answer()


# -- reading -------------------------------------------------------------------------------------


def _item(name: str, entry: Entry) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "file", "path": name, "oid": entry.oid, "size": entry.size}
    if entry.lfs:
        item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    return item


def _tree(handler: Handler, repo_id: str, revision: str, *path: str) -> None:
    commit = _commit(_repo(handler, repo_id), revision)
    prefix = "/".join(path) + "/" if path else ""
    items = [
        _item(name, entry)
        for name, entry in sorted(commit.files.items())
        if name.startswith(prefix)
    ]
    if handler.query.get("recursive", "false").lower() != "true":
        items = [i for i in items if "/" not in i["path"][len(prefix) :]]
    start = int(handler.query.get("cursor", "0"))
    stop = start + handler.hub.page_size
    headers = {}
    if stop < len(items):
        where = f"{handler.hub.url}/api/models/{repo_id}/tree/{quote(revision, safe='')}"
        recursive = handler.query.get("recursive", "false")
        headers["Link"] = f'<{where}?cursor={stop}&recursive={recursive}>; rel="next"'
    handler.answer(items[start:stop], headers=headers)


def _paths_info(handler: Handler, repo_id: str, revision: str) -> None:
    commit = _commit(_repo(handler, repo_id), revision)
    text = handler.body.read().decode()
    if "json" in (handler.headers.get("Content-Type") or ""):
        paths = json.loads(text)["paths"]
    else:
        paths = parse_qs(text).get("paths", [])
    handler.answer([_item(p, commit.files[p]) for p in paths if p in commit.files])


def _resolve(handler: Handler, repo_id: str, revision: str, path: str) -> None:
    commit = _commit(_repo(handler, repo_id), revision)
    entry = commit.files.get(path)
    if entry is None:
        raise Refusal(404, f"Entry not found: {path}", "EntryNotFound")
    etag = entry.sha256 if entry.lfs else entry.oid
    headers = {
        "X-Repo-Commit": commit.sha,
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if entry.lfs:
        headers |= {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(entry.size)}
    start, stop, status = 0, entry.size, 200
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
    if wanted and entry.size:
        start = int(wanted[1])
        stop = min(int(wanted[2]) + 1, entry.size) if wanted[2] else entry.size
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    headers["Content-Length"] = str(stop - start)
    handler.answer(status=status, headers=headers, content=b"")
    if handler.command == "HEAD":
        return
    with handler.hub.store.object(entry.sha256).open("rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            handler.wfile.write(block)
            left -= len(block)


# -- writing -------------------------------------------------------------------------------------


def _preupload(handler: Handler, repo_id: str, revision: str) -> None:
    commit = _commit(_repo(handler, repo_id, write=True), revision)
    files = []
    for file in handler.json_body()["files"]:
        sample = base64.b64decode(file.get("sample") or "")
        large = file["size"] >= LFS_SIZE or _LFS_NAMES.fullmatch(file["path"]) or b"\0" in sample
        item = {
            "path": file["path"],
            "uploadMode": "lfs" if large and file["size"] else "regular",
            "shouldIgnore": False,
        }
        known = commit.files.get(file["path"])
        if known is not None:
            item["oid"] = known.sha256 if known.lfs else known.oid
        files.append(item)
    handler.answer({"files": files})


def _lfs_batch(handler: Handler, repo_id: str) -> None:
    _repo(handler, repo_id, write=True)
    objects = []
    for wanted in handler.json_body()["objects"]:
        oid, size = str(wanted["oid"]), int(wanted["size"])
        item: dict[str, Any] = {"oid": oid, "size": size}
        if not handler.hub.store.has(oid):
            where = f"{handler.hub.url}/_lfs/{oid}"
            upload: dict[str, Any] = {"href": where}
            if size > handler.hub.part_size:
                count = -(-size // handler.hub.part_size)
                parts = {f"{n:05}": f"{where}/part/{n}" for n in range(1, count + 1)}
                upload = {
                    "href": f"{where}/complete",
                    "header": {"chunk_size": str(handler.hub.part_size), **parts},
                }
            item["actions"] = {"upload": upload, "verify": {"href": f"{where}/verify"}}
        objects.append(item)
    handler.answer({"transfer": "basic", "objects": objects})


def _lfs_object(handler: Handler, oid: str, rest: tuple[str, ...]) -> None:
    store = handler.hub.store
    if not re.fullmatch(r"[0-9a-f]{64}", oid):
        raise Refusal(400, "bad oid")
    match (handler.command, *rest):
        case ("PUT",):
            if not store.receive(handler.body, oid):  # type: ignore[arg-type]
                raise Refusal(400, "the content does not have this digest")
            handler.answer(headers={"ETag": f'"{oid[:32]}"'})
        case ("PUT", "part", number):
            content = handler.body.read()
            (store.folder / f"{oid}.part{int(number):05}").write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            handler.answer(headers={"ETag": f'"{digest[:32]}"'})
        case ("POST", "complete"):
            handler.body.drain()
            parts = sorted(store.folder.glob(f"{oid}.part*"))
            whole = store.folder / f"{oid}.whole"
            with whole.open("wb") as out:
                for part in parts:
                    out.write(part.read_bytes())
            with whole.open("rb") as file:
                good = store.receive(file, oid)
            for path in (whole, *parts):
                path.unlink(missing_ok=True)
            if not good:
                raise Refusal(400, "the parts do not make this object")
            handler.answer()
        case ("POST", "verify"):
            if not store.has(oid):
                raise Refusal(404, "no such object")
            handler.answer()
        case _:
            raise Refusal(404, "no such route")


def _commit_route(handler: Handler, repo_id: str, revision: str) -> None:
    repo = _repo(handler, repo_id, write=True)
    lines = [json.loads(line) for line in handler.body.read().splitlines() if line.strip()]
    store = handler.hub.store
    with store.guard:
        base = _commit(repo, revision)
        files = dict(base.files)
        header: dict[str, Any] = {}
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    header = value
                case "file":
                    content = base64.b64decode(value["content"])
                    files[value["path"]] = Entry(
                        store.put(content), len(content), blob_id(content), lfs=False
                    )
                case "lfsFile":
                    oid, size = str(value["oid"]), int(value["size"])
                    if not store.has(oid):
                        raise Refusal(400, f"the object of {value['path']} was never uploaded")
                    files[value["path"]] = Entry(oid, size, blob_id(pointer(oid, size)), lfs=True)
                case "deletedFile":
                    files.pop(value["path"], None)
                case "deletedFolder":
                    gone = value["path"].rstrip("/") + "/"
                    files = {n: e for n, e in files.items() if not n.startswith(gone)}
        parent = header.get("parentCommit")
        if parent and not base.sha.startswith(parent):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        commit = store.add_commit(
            repo, revision, header.get("summary", ""), header.get("description", ""), files
        )
    handler.answer(
        {
            "success": True,
            "commitOid": commit.sha,
            "commitUrl": f"{handler.hub.url}/{repo.id}/commit/{commit.sha}",
        }
    )
