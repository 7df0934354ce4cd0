"""What the loopback Hub lists and serves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote

from loopback_hub.access import find_commit, find_repo, need_acceptance
from loopback_hub.server import Handler, Refusal
from loopback_hub.store import Entry, pointer_size


def file_item(path: str, entry: Entry) -> dict[str, Any]:
    """Return what a listing says of a file."""
    item: dict[str, Any] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
    if entry.lfs:
        pointer = pointer_size(entry.sha256, entry.size)
        item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": pointer}
    return item


def folder_item(path: str, files: Mapping[str, Entry]) -> dict[str, Any]:
    """Return what a listing says of a folder; its id changes with what is in it."""
    inside = [(name, e.oid) for name, e in sorted(files.items()) if name.startswith(path + "/")]
    oid = hashlib.sha1(json.dumps(inside).encode()).hexdigest()  # noqa: S324 - as long as git's
    return {"type": "directory", "path": path, "oid": oid, "size": 0}


def folders_of(files: Mapping[str, Entry]) -> set[str]:
    """Return every folder that a tree has; git knows none without files."""
    return {str(folder) for name in files for folder in PurePosixPath(name).parents} - {"."}


def tree(handler: Handler, repo_id: str, revision: str, *path: str) -> None:
    """Answer a page of the files and folders below a path, with a link to the next."""
    files = find_commit(find_repo(handler, repo_id), revision).files
    folder = "/".join(path)
    folders = folders_of(files)
    if folder and folder not in folders:
        raise Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    recursive = handler.query.get("recursive", "false").lower()
    below = folder + "/" if folder else ""
    names = sorted(
        name
        for name in {*files, *folders}
        if name.startswith(below) and (recursive == "true" or "/" not in name[len(below) :])
    )
    start = int(handler.query.get("cursor", "0"))
    stop = start + handler.hub.page_size
    headers = {}
    if stop < len(names):
        where = f"{handler.origin}/api/models/{repo_id}/tree/{quote(revision, safe='')}"
        where += "/" + quote(folder) if folder else ""
        headers["Link"] = f'<{where}?cursor={stop}&recursive={recursive}>; rel="next"'
    page = [_item(name, files) for name in names[start:stop]]
    handler.answer(page, headers=headers)


def paths_info(handler: Handler, repo_id: str, revision: str) -> None:
    """Answer what is under some paths; what is not there is left out."""
    files = find_commit(find_repo(handler, repo_id), revision).files
    folders = folders_of(files)
    text = handler.body.read().decode()
    if "json" in (handler.headers.get("Content-Type") or ""):
        paths = json.loads(text)["paths"]
    else:
        paths = parse_qs(text).get("paths", [])
    handler.answer([_item(path, files) for path in paths if path in files or path in folders])


def _item(path: str, files: Mapping[str, Entry]) -> dict[str, Any]:
    return file_item(path, files[path]) if path in files else folder_item(path, files)


def resolve(handler: Handler, repo_id: str, revision: str, path: str) -> None:
    """Answer a file, or the part of it that ``Range`` asks for.

    LFS content comes from here as well: the client follows a redirect within the same origin and
    then misses the headers of the first answer.
    """
    repo = find_repo(handler, repo_id)
    need_acceptance(handler, repo)
    commit = find_commit(repo, revision)
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
