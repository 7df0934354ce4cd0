"""Xet with the real client: its own store stands in for the server's."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_login import log_in
from loopback_hub import LoopbackHub
from uploader_core.plugin import IntegrityError, Receipt, UploadFile

hf_xet = pytest.importorskip("hf_xet")
if not hasattr(hf_xet, "XetSession"):
    pytest.skip("this hf_xet cannot read what it stored", allow_module_level=True)


# What 0.36 of the client calls, hf_xet 1.8 still has.
pytestmark = pytest.mark.filterwarnings("ignore:hf_xet.* is deprecated:DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub with Xet; the client is not told of it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with LoopbackHub(tmp_path / "hub", part_size=1 << 20, xet=True) as server:
        log_in(server, monkeypatch)
        yield server


def lfs_requests(hub: LoopbackHub) -> list[str]:
    return [line for line in hub.requests if "/_lfs/" in line]


def test_large_files_go_through_xet_where_the_server_has_it(
    upload: Callable[..., Receipt], hub: LoopbackHub, release: list[UploadFile]
) -> None:
    receipt = upload()
    assert receipt.metadata["transport"] == "xet"
    assert lfs_requests(hub) == []
    stored = hub.store.repos["me/tiny"].resolve("main").files
    for file in release:
        assert hub.store.object(stored[file.name].sha256).read_bytes() == file.path.read_bytes()
    # Requests carried no weights: the client's own store has them.
    assert hub.bytes_received < 100_000


def test_progress_is_shown_and_what_is_repeated_inside_is_left_out(
    upload: Callable[..., Receipt], hub: LoopbackHub, release: list[UploadFile]
) -> None:
    block = os.urandom(2_000_000)
    release[0].path.write_bytes(block * 4)
    digest = hashlib.sha256(block * 4).hexdigest()
    repeated = dataclasses.replace(release[0], size=8_000_000, sha256=digest)
    seen: list[tuple[int, int | None]] = []
    said: list[str] = []

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        if what.startswith("sending through Xet: "):
            seen.append((done, total))
            said.append(what)

    receipt = upload(files=[repeated, *release[1:]], on_progress=on_progress)
    total = 8_000_000 + sum(file.size for file in release[1:])
    assert {entry[1] for entry in seen} == {total}
    assert [entry[0] for entry in seen] == sorted(entry[0] for entry in seen)
    assert seen[-1][0] >= 8_000_000
    assert any("model-00001.safetensors " in what for what in said)
    assert 2_000_000 <= receipt.bytes_sent < 3_000_000


def test_second_upload_through_xet_sends_and_reads_nothing(
    upload: Callable[..., Receipt], hub: LoopbackHub, release: list[UploadFile]
) -> None:
    upload()
    release[0].path.unlink()
    receipt = upload()
    assert receipt.bytes_sent == 0
    assert len(list(hub.store.repos["me/tiny"].history("main"))) == 2


def test_bytes_that_changed_are_found_out_before_the_commit(
    upload: Callable[..., Receipt], hub: LoopbackHub, release: list[UploadFile]
) -> None:
    content = bytearray(release[0].path.read_bytes())
    content[1000] ^= 1
    release[0].path.write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match="no longer what its record says"):
        upload(files=[dataclasses.replace(release[0]), *release[1:]])
    assert [c.title for c in hub.store.repos["me/tiny"].history("main")] == ["initial commit"]


def test_server_without_xet_is_found_out_by_asking(
    tmp_path: Path,
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LoopbackHub(tmp_path / "plain") as plain:
        log_in(plain, monkeypatch)
        assert upload().metadata["transport"] == "lfs"
        assert lfs_requests(plain) != []


def test_file_of_many_parts_is_whole(hub: LoopbackHub, tmp_path: Path) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi

    api: Any = HfApi(endpoint=hub.url, token=os.environ["HF_TOKEN"])
    block = os.urandom(3_000_000)
    contents = {"a.safetensors": block * 3 + os.urandom(500_000), "b.safetensors": block}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    api.create_repo("me/m")
    operations = [CommitOperationAdd(name, str(tmp_path / name)) for name in contents]
    api.create_commit("me/m", operations, commit_message="all")
    for info in api.get_paths_info("me/m", list(contents)):
        assert info.lfs.sha256 == hashlib.sha256(contents[info.path]).hexdigest()
        assert hub.store.object(info.lfs.sha256).stat().st_size == len(contents[info.path])
