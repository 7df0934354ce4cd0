"""Which files of a repository are fetched, and what an outline of weights holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub
from uploader_core.plugin import SourceContext, SourceError
from uploader_hf.fetching.local_copy import identify
from uploader_hf.fetching.outline import FIRST, write_outline
from uploader_hf.fetching.source import fetch
from uploader_hf.fetching.wanted import model_folder, shards_of, small_files, weights_of

BOTH = {
    "config.json", "adapter_config.json", "adapter_model.safetensors", "model.safetensors",
    "model.safetensors.index.json", "consolidated.safetensors", "pytorch_model.bin",
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "purpose", "wanted"),
    [
        (BOTH, "source", ("adapter_model.safetensors",)),
        (BOTH, "base", ("model.safetensors",)),
        (BOTH - {"model.safetensors"}, "base", ("model.safetensors.index.json",)),
        (BOTH - {"adapter_config.json"}, "source", ("model.safetensors",)),
        ({"config.json", "pytorch_model.bin"}, "source", ()),
        ({"adapter_config.json", "adapters.safetensors"}, "source", ("adapters.safetensors",)),
    ],
)
def test_one_set_of_weights_is_chosen(
    names: set[str], purpose: str, wanted: tuple[str, ...]
) -> None:
    assert weights_of(names, purpose) == wanted


def test_small_files_are_data_that_a_release_can_depend_on() -> None:
    wanted = ["LICENSE.md", "README.md", "additional_chat_templates/tools.jinja",
              "chat_template.jinja", "merges.txt", "tokenizer.json", "tokenizer.model"]  # fmt: skip
    others = ["modeling_x.py", "pytorch_model.bin", "onnx/config.json", "model.gguf", "logo.png",
              ".env", "checkpoint-1/tokenizer.json"]  # fmt: skip
    assert small_files([*others, *wanted]) == wanted


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


def test_folder_is_not_guessed_among_several() -> None:
    with pytest.raises(SourceError, match="me/m holds several: lora, merged-16bit") as caught:
        model_folder("me/m", MERGED | LORA)
    assert "uploader run m/merged-16bit" in str(caught.value.next)


@pytest.mark.parametrize("index", ["", "[]", '{"weight_map": []}', '{"weight_map": null}'])
def test_index_that_is_none_names_no_shards(index: str) -> None:
    assert shards_of(index) == []


@pytest.mark.parametrize("tensors", [1, 5000])
def test_outline_is_the_header_and_a_hole(
    api: Any, hub: LoopbackHub, tmp_path: Path, tensors: int
) -> None:
    header = {
        f"model.layers.{n}.weight": {"dtype": "U8", "shape": [1000], "data_offsets": [0, 1000]}
        for n in range(tensors)
    }
    text = json.dumps(header).encode()
    head = len(text).to_bytes(8, "little") + text
    assert (len(head) > FIRST) is (tensors > 1)
    content = head + os.urandom(3_000_000)
    api.create_repo("me/m", private=True)
    sha = api.upload_file(
        path_or_fileobj=content, path_in_repo="model.safetensors", repo_id="me/m"
    ).oid
    path = tmp_path / "sub" / "model.safetensors"
    write_outline(api, "me/m", sha, "model.safetensors", len(content), path)
    assert path.stat().st_size == len(content)
    written = path.read_bytes()
    assert written[: len(head)] == head
    assert not any(written[len(head) :])


def test_outline_of_what_is_no_weights_has_its_length(
    api: Any, hub: LoopbackHub, tmp_path: Path
) -> None:
    api.create_repo("me/m", private=True)
    sha = api.upload_file(
        path_or_fileobj=b"\xff" * 100, path_in_repo="model.safetensors", repo_id="me/m"
    ).oid
    path = tmp_path / "model.safetensors"
    write_outline(api, "me/m", sha, "model.safetensors", 100, path)
    assert path.read_bytes() == b"\xff" * 100


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


@pytest.mark.parametrize("revision", ["../../x", "/etc", "-x", "a\x07"])
def test_revision_that_no_repository_can_have_is_not_looked_for(revision: str) -> None:
    with pytest.raises(SourceError, match="is no name of a branch, tag or commit"):
        fetch(SourceContext(reference=f"me/m@{revision}", purpose="base", offline=True))


def test_modules_around_a_transformer_are_wanted_with_their_weights() -> None:
    names = ["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"]
    others = ["2_Dense/pytorch_model.bin", "onnx/model.onnx", "checkpoint-5/model.safetensors"]
    assert small_files([*names, *others]) == sorted(names)
