"""A repository compared with the manifest in it, with nothing here but its name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import Fault, LoopbackHub
from uploader_core.plugin import (
    IntegrityError,
    Receipt,
    SourceError,
    UploadFile,
    UsageError,
    Verification,
    VerifyContext,
)


@pytest.fixture
def published(upload: Callable[..., Receipt], release: list[UploadFile], tmp_path: Path) -> Receipt:
    """The release with its manifest, at ``me/tiny`` under the tag v1."""
    listed = [{"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role} for f in release]
    content = json.dumps({"schema": "uploader.manifest/1", "files": listed}).encode()
    path = tmp_path / "upload_manifest.json"
    path.write_bytes(content)
    manifest = dataclasses.replace(
        release[-1],
        name=path.name,
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return upload(files=[*release, manifest], tag="v1")


@pytest.fixture
def verify(published: Receipt) -> Callable[..., Verification]:
    def run(target: str = "me/tiny", *, full: bool = True) -> Verification:
        from uploader_hf.publishing.verify import verify as function

        secrets = {"HF_TOKEN": os.environ["HF_TOKEN"]}
        return function(VerifyContext(target=target, full=full, secrets=secrets))

    return run


def test_repository_that_is_as_recorded(
    verify: Callable[..., Verification],
    published: Receipt,
    release: list[UploadFile],
    hub: LoopbackHub,
) -> None:
    result = verify()
    assert result.problems == ()
    assert (result.files, result.size) == (4, sum(file.size for file in release))
    assert result.where == f"{hub.url}/me/tiny/tree/{published.revision}"


def test_no_weights_are_downloaded(verify: Callable[..., Verification], hub: LoopbackHub) -> None:
    before = len(hub.requests)
    verify()
    fetched = {line.rsplit("/", 1)[1] for line in hub.requests[before:] if "/resolve/" in line}
    assert fetched == {"upload_manifest.json", "config.json", "README.md"}


def test_quick_look_downloads_the_manifest_alone(
    verify: Callable[..., Verification], hub: LoopbackHub
) -> None:
    before = len(hub.requests)
    assert verify(full=False).problems == ()
    fetched = {line.rsplit("/", 1)[1] for line in hub.requests[before:] if "/resolve/" in line}
    assert fetched == {"upload_manifest.json"}


def test_what_differs_is_named_and_a_tag_shows_what_was_published(
    verify: Callable[..., Verification], api: Any, release: list[UploadFile]
) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    changed = bytearray(release[0].path.read_bytes())
    changed[7] ^= 1
    api.create_commit(
        "me/tiny",
        [
            CommitOperationAdd("model-00001.safetensors", bytes(changed)),
            CommitOperationDelete("model-00002.safetensors"),
            CommitOperationAdd("config.json", b'{"a": 2}'),
            CommitOperationAdd("README.md", b"longer than it was before, by some bytes"),
        ],
        commit_message="by somebody else",
    )
    digest = hashlib.sha256(changed).hexdigest()[:12]
    small = hashlib.sha256(b'{"a": 2}').hexdigest()[:12]
    assert {problem.path: problem.what for problem in verify().problems} == {
        "model-00001.safetensors": f"has other content than recorded: sha256 {digest}, "
        f"expected {release[0].sha256[:12]}",
        "model-00002.safetensors": "is missing",
        "config.json": f"has other content than recorded: sha256 {small}, "
        f"expected {release[2].sha256[:12]}",
        "README.md": f"has 40 bytes, expected {release[3].size}",
    }
    assert verify("me/tiny@v1").problems == ()


def test_content_that_is_not_what_is_listed_is_no_proof(
    verify: Callable[..., Verification], hub: LoopbackHub
) -> None:
    entry = hub.store.repos["me/tiny"].resolve("main").files["config.json"]
    hub.store.object(entry.sha256).write_bytes(b'{"a": 9}')
    with pytest.raises(IntegrityError, match=r"lists config\.json and serves another content"):
        verify()


def test_busy_hub_is_asked_again(
    verify: Callable[..., Verification], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.faults.add(Fault("refuse", r"POST .*/paths-info/", times=2, status=503))
    assert verify().problems == ()


def test_repository_without_a_manifest(verify: Callable[..., Verification], api: Any) -> None:
    api.create_repo("me/other", private=True)
    with pytest.raises(UsageError, match=r"me/other has no upload_manifest\.json"):
        verify("me/other")


@pytest.mark.parametrize("target", ["me/nothing", "me/tiny@v9", "you/tiny"])
def test_what_is_not_there(verify: Callable[..., Verification], target: str) -> None:
    with pytest.raises(SourceError, match=target):
        verify(target)


def test_private_repository_of_others(
    verify: Callable[..., Verification], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token("you"))
    with pytest.raises(SourceError, match="may not see it"):
        verify()
