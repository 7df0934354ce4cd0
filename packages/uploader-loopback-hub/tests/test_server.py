"""The loopback Hub itself, asked by the unmodified client."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loopback_hub import Fault, LoopbackHub, blob_id

LARGE = os.urandom(2_500_000)  # three parts


@pytest.fixture
def model(api: Any) -> str:
    """A repository with a file in parts and more small ones in folders than fit on a page."""
    from huggingface_hub import CommitOperationAdd

    contents = {f"sub/deep/{n}.txt": b"%d" % n for n in range(8)}
    contents |= {"sub/top.txt": b"top", "model.safetensors": LARGE}
    api.create_repo("me/model", private=True)
    api.create_commit(
        "me/model",
        [CommitOperationAdd(path_in_repo=n, path_or_fileobj=c) for n, c in contents.items()],
        commit_message="all",
    )
    return "me/model"


def test_listing_of_a_folder_goes_over_pages(api: Any, model: str) -> None:
    found = [item.path for item in api.list_repo_tree(model, "sub", recursive=True)]
    assert found == ["sub/deep", *(f"sub/deep/{n}.txt" for n in range(8)), "sub/top.txt"]


def test_listing_that_is_not_recursive_names_folders(api: Any, model: str) -> None:
    found = {item.path: type(item).__name__ for item in api.list_repo_tree(model)}
    assert found == {
        ".gitattributes": "RepoFile",
        "model.safetensors": "RepoFile",
        "sub": "RepoFolder",
    }


def test_listing_of_a_folder_that_is_not_there(api: Any, model: str) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(model, "nothing"))


def test_paths_are_described_as_git_does(api: Any, model: str) -> None:
    small, large = api.get_paths_info(model, ["sub/top.txt", "model.safetensors", "nothing"])
    assert small.blob_id == blob_id(b"top")
    digest = hashlib.sha256(LARGE).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(LARGE)}\n"
    assert large.lfs.sha256 == digest
    assert large.lfs.pointer_size == len(text)
    assert large.blob_id == blob_id(text.encode())


def test_download_goes_on_where_it_stopped(
    api: Any, model: str, hub: LoopbackHub, tmp_path: Path
) -> None:
    from huggingface_hub.file_download import http_get

    path = tmp_path / "part"
    path.write_bytes(LARGE[:1_000_000])
    url = f"{hub.url}/{model}/resolve/main/model.safetensors"
    headers = {"Authorization": f"Bearer {api.token}"}
    with path.open("ab") as file:
        http_get(url, file, resume_size=1_000_000, headers=headers, expected_size=len(LARGE))
    assert path.read_bytes() == LARGE


def test_stale_parent_is_refused(api: Any, model: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    first = api.list_repo_commits(model)[-1].commit_id
    with pytest.raises(HfHubHTTPError) as caught:
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=model, parent_commit=first)
    assert caught.value.response.status_code == 412


def test_part_that_was_lost_is_not_replaced_by_an_older_one(
    api: Any, model: str, hub: LoopbackHub
) -> None:
    """Parts of an upload that was given up must not get into the next one."""
    other = os.urandom(2_500_000)
    stale = hub.store.folder / f"{hashlib.sha256(other).hexdigest()}.part00009"
    stale.write_bytes(b"stale")
    api.upload_file(path_or_fileobj=other, path_in_repo="o.safetensors", repo_id=model)
    assert hub.store.size(hashlib.sha256(other).hexdigest()) == len(other)


def test_object_with_another_digest_is_not_kept(api: Any, model: str, hub: LoopbackHub) -> None:
    import urllib.error
    import urllib.request

    wrong = hashlib.sha256(b"promised").hexdigest()
    request = urllib.request.Request(f"{hub.url}/_lfs/{wrong}", data=b"sent", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    assert not hub.store.has(wrong)
    assert not list(hub.store.folder.glob("*.partial"))


def test_connection_dropped_in_an_object_leaves_nothing(
    api: Any, model: str, hub: LoopbackHub
) -> None:
    hub.faults.add(Fault("drop", r"PUT /_lfs/.*/part/2", after=1000))
    content = os.urandom(2_500_000)
    with contextlib.suppress(RuntimeError):  # client 1.0 does not ask again, the others do
        api.upload_file(path_or_fileobj=content, path_in_repo="o.safetensors", repo_id=model)
    api.upload_file(path_or_fileobj=content, path_in_repo="o.safetensors", repo_id=model)
    assert not list(hub.store.folder.glob("*.part*"))


def test_commit_of_which_only_the_first_lines_came_is_none(
    api: Any, model: str, hub: LoopbackHub
) -> None:
    lines = b'{"key": "header", "value": {"summary": "cut"}}\n'
    head = (
        f"POST /api/models/{model}/commit/main HTTP/1.1\r\nAuthorization: Bearer {api.token}\r\n"
        f"Content-Length: {len(lines) + 100}\r\n\r\n"
    )
    where = urlsplit(hub.url)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(head.encode() + lines)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(1) == b""
    assert "cut" not in [commit.title for commit in api.list_repo_commits(model)]


def test_private_repository_is_not_there_for_others(api: Any, model: str, hub: Any) -> None:
    from huggingface_hub import HfApi

    assert HfApi(endpoint=hub.url, token=hub.token("you")).repo_exists(model) is False


def test_read_token_may_not_write(api: Any, model: str, hub: LoopbackHub) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    reader = HfApi(endpoint=hub.url, token=hub.token("me", role="read"))
    reader.auth_check(model)
    with pytest.raises(HfHubHTTPError, match="may not write"):
        reader.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=model)


def test_branches_and_tags(api: Any, model: str) -> None:
    api.create_branch(model, branch="feat/x")
    api.create_tag(model, tag="v1")
    refs = api.list_repo_refs(model)
    assert [b.name for b in refs.branches] == ["feat/x", "main"]
    assert [t.name for t in refs.tags] == ["v1"]
    assert api.repo_info(model, revision="feat/x").sha == api.repo_info(model).sha


def test_deleting_a_repository(api: Any, model: str) -> None:
    api.delete_repo(model)
    assert api.repo_exists(model) is False
