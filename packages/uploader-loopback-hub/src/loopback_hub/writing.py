"""How files reach the loopback Hub: asked about, sent as LFS objects, committed."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

from loopback_hub.access import find_commit, find_repo
from loopback_hub.server import Handler, Refusal
from loopback_hub.store import Entry, blob_id, pointer
from loopback_hub.xet import LIFETIME

LFS_SIZE = 10 << 20
_LFS_NAMES = re.compile(
    r".+\.(safetensors|gguf|bin|pt|pth|onnx|msgpack|h5|model|npz|zip|tar|gz|png|jpg)"
)


def preupload(handler: Handler, repo_id: str, revision: str) -> None:
    """Answer how each file shall be sent, and the id of what is there already."""
    commit = find_commit(find_repo(handler, repo_id, write=True), revision)
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


def lfs_batch(handler: Handler, repo_id: str) -> None:
    """Answer where to send each object; one that is stored already needs no action."""
    repo = find_repo(handler, repo_id, write=True)
    wanted_bytes = 0
    objects = []
    asked = handler.json_body()
    for wanted in asked["objects"]:
        oid, size = str(wanted["oid"]), int(wanted["size"])
        item: dict[str, Any] = {"oid": oid, "size": size}
        if not handler.hub.store.has(oid):
            wanted_bytes += size
            where = f"{handler.origin}/_lfs/{oid}"
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
    quota = handler.hub.quota
    if repo.private and quota is not None:
        owner = repo_id.split("/")[0]
        repos = handler.hub.store.repos.values()
        used = sum(r.size for r in repos if r.private and r.id.startswith(owner + "/"))
        if used + wanted_bytes > quota:
            raise Refusal(403, "Private repository storage limit reached, please upgrade your plan")
    # Clients before 1.0 agree on Xet here; later ones only ask for its token.
    xet = handler.hub.xet is not None and "xet" in asked.get("transfers", ())
    handler.answer({"transfer": "xet" if xet else "basic", "objects": objects})


def lfs_object(handler: Handler, oid: str, rest: tuple[str, ...]) -> None:
    """Take an object, whole or in parts, and keep it only when its digest is the promised one.

    Like a presigned address of the Hub's store, this asks for no token.
    """
    store = handler.hub.store
    if not re.fullmatch(r"[0-9a-f]{64}", oid):
        raise Refusal(400, "bad oid")
    match (handler.command, *rest):
        case ("PUT",):
            if not store.receive(handler.body.blocks(), oid):
                raise Refusal(400, "the content does not have this digest")
            handler.answer(headers={"ETag": f'"{oid[:32]}"'})
        case ("PUT", "part", number):
            digest = store.put_part(oid, int(number), handler.body.blocks())
            handler.answer(headers={"ETag": f'"{digest}"'})
        case ("POST", "complete"):
            parts = [(p["partNumber"], p["etag"].strip('"')) for p in handler.json_body()["parts"]]
            if not store.join_parts(oid, parts):
                raise Refusal(400, "the parts do not make this object")
            handler.answer()
        case ("POST", "verify"):
            if store.size(oid) != handler.json_body()["size"]:
                raise Refusal(404, "no such object, or not of this size")
            handler.answer()
        case _:
            raise Refusal(404, "no such route")


def xet_token(handler: Handler, repo_id: str, revision: str) -> None:
    """Answer where a client may store through Xet.

    Raises:
        Refusal: 404 where this Hub has none.
    """
    repo = find_repo(handler, repo_id, write=True)
    find_commit(repo, revision)
    if handler.hub.xet is None:
        raise Refusal(404, "this Hub has no Xet")
    address, expires = handler.hub.xet.address(), int(time.time()) + LIFETIME
    handler.answer(
        {"casUrl": address, "accessToken": "local", "exp": expires},
        headers={
            "X-Xet-Cas-Url": address,
            "X-Xet-Access-Token": "local",
            "X-Xet-Token-Expiration": str(expires),
        },
    )


def _size_of(handler: Handler, oid: str) -> int | None:
    """Return the bytes of an object, which may have come through Xet; None when it never came."""
    store, xet = handler.hub.store, handler.hub.xet
    found = None if xet is None or store.has(oid) else xet.find(oid)
    if xet is not None and found is not None:
        path = store.folder / f"{oid}.xet"
        try:
            xet.take_out(found, path)
            with path.open("rb") as file:
                # Its digest is the client's word until it is computed here.
                if not store.receive(iter(lambda: file.read(1 << 20), b""), oid):
                    raise Refusal(400, "the content does not have this digest")
        finally:
            path.unlink(missing_ok=True)
    return store.size(oid)


def commit(handler: Handler, repo_id: str, revision: str) -> None:
    """Make one commit of the lines of a request, or none at all."""
    repo = find_repo(handler, repo_id, write=True)
    lines = [json.loads(line) for line in handler.body.read().splitlines() if line.strip()]
    store = handler.hub.store
    with store.guard:
        base = find_commit(repo, revision)
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
                    if _size_of(handler, oid) != size:
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
            "commitUrl": f"{handler.origin}/{repo.id}/commit/{commit.sha}",
        }
    )
