"""Which folder and commit of a repository is fetched, and what a folder is a copy of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub
from uploader_core.plugin import SourceContext, SourceError
from uploader_hf.fetching.local_copy import identify
from uploader_hf.fetching.outline import outline_weights
from uploader_hf.fetching.source import fetch
from uploader_hf.fetching.wanted import model_folder

MERGED = {"README.md", "merged-16bit/config.json", "merged-16bit/model.safetensors"}
LORA = {"lora/adapter_config.json", "lora/adapter_model.safetensors"}


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (MERGED, "merged-16bit"),
        (MERGED | {"gguf/m-Q8_0.gguf", "onnx/config.json", "onnx/model.onnx"}, "merged-16bit"),
        (LORA, "lora"),
        (MERGED | {"config.json"}, ""),
        ({"a/merged-16bit/config.json", "a/merged-16bit/model.safetensors"}, ""),
        ({"README.md"}, ""),
    ],
)
def test_model_lies_at_the_root_or_in_the_only_folder(names: set[str], folder: str) -> None:
    assert model_folder("me/m", names) == folder


def test_folder_above_the_repository_is_none_of_it() -> None:
    assert model_folder("me/m", {"../adapter_config.json", "../adapter_model.safetensors"}) == ""


def test_folder_is_not_guessed_among_several() -> None:
    with pytest.raises(SourceError, match="me/m holds several: lora, merged-16bit") as caught:
        model_folder("me/m", MERGED | LORA)
    assert "uploader run m/merged-16bit" in str(caught.value.next)


def test_outline_is_read_from_the_hub_by_ranges(api: Any, hub: LoopbackHub, tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"U8","shape":[3000000],"data_offsets":[0,3000000]}}'
    content = len(header).to_bytes(8, "little") + header + os.urandom(3_000_000)
    api.create_repo("me/m", private=True)
    sha = api.upload_file(
        path_or_fileobj=content, path_in_repo="model.safetensors", repo_id="me/m"
    ).oid
    path = tmp_path / "model.safetensors"
    outline_weights(api, "me/m", sha, "model.safetensors", len(content), path)
    assert path.stat().st_size == len(content)
    assert path.read_bytes().rstrip(b"\0") == content[: 8 + len(header)]


@pytest.fixture
def model(api: Any) -> str:
    """``me/m``, whose first commit has the tag ``v1``; that commit."""
    api.create_repo("me/m", private=True)
    for name in ("config.json", "model.safetensors"):
        sha = api.upload_file(path_or_fileobj=b"{}", path_in_repo=name, repo_id="me/m").oid
    api.create_tag("me/m", tag="v1")
    api.upload_file(path_or_fileobj=b"[]", path_in_repo="config.json", repo_id="me/m")
    return str(sha)


def download(api: Any, **where: Path) -> Path:
    """Do what ``hf download me/m --revision v1`` does."""
    from huggingface_hub import snapshot_download

    options = {"endpoint": api.endpoint, "token": api.token, **where}
    return Path(snapshot_download("me/m", revision="v1", **options))


def test_folder_of_the_cache_says_which_commit_it_is(api: Any, model: str, tmp_path: Path) -> None:
    found = identify(download(api, cache_dir=tmp_path / "cache"))
    assert found is not None
    assert (found.model_id, found.revision) == ("me/m", model)


def test_downloaded_folder_says_which_commit_it_is_until_it_is_changed(
    api: Any, model: str, tmp_path: Path
) -> None:
    folder = download(api, local_dir=tmp_path / "m")
    found = identify(folder)
    assert found is not None and found.revision == model
    weights = folder / "model.safetensors"
    os.utime(weights, (weights.stat().st_mtime + 60,) * 2)
    assert identify(folder) is None


def test_folder_with_a_file_of_other_origin_is_no_copy(
    api: Any, model: str, tmp_path: Path
) -> None:
    folder = download(api, local_dir=tmp_path / "m")
    (folder / "model-2.safetensors").write_bytes(b"")
    assert identify(folder) is None
    assert identify(tmp_path) is None


def test_revision_that_is_not_there_is_named(api: Any, model: str) -> None:
    with pytest.raises(SourceError, match="me/m@v2 is not on the Hub: no branch, tag or commit"):
        fetch(SourceContext(reference="me/m@v2", purpose="base"))


def test_folder_that_is_not_there_looks_like_a_name_on_the_hub(api: Any) -> None:
    with pytest.raises(SourceError, match="outputs/final is not on the Hub") as caught:
        fetch(SourceContext(reference="outputs/final", purpose="source"))
    assert "of a folder: write ./ before it" in str(caught.value.next)


@pytest.mark.parametrize("revision", ["../../x", "/etc", "-x", "a\x07"])
def test_revision_that_no_repository_can_have_is_not_looked_for(revision: str) -> None:
    with pytest.raises(SourceError, match="is no name of a branch, tag or commit"):
        fetch(SourceContext(reference=f"me/m@{revision}", purpose="base", offline=True))


@pytest.mark.parametrize(
    "name", ["../../config.json", "/etc/config.json", "a/../config.json", "a//b.json", "a\0b"]
)
@pytest.mark.parametrize("purpose", ["source", "base", "release"])
def test_listing_with_a_name_that_leaves_its_folder_is_refused(
    api: Any, hub: LoopbackHub, model: str, name: str, purpose: str
) -> None:
    repo = hub.store.repos["me/m"]
    files = repo.commits[model].files
    hub.store.add_commit(repo, "main", "x", "", {**files, name: files["config.json"]})
    with pytest.raises(SourceError, match="which would not stay in its folder"):
        fetch(SourceContext(reference="me/m", purpose=purpose))
