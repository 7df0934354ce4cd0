"""Repositories per kind, and references that are fetched."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from hf_tools import RELEASE
from uploader_core.plugin import GroupContext, SourceContext, SourceError, UsageError
from uploader_hf.fetching.source import fetch
from uploader_hf.plugin import uploader_sources
from uploader_hf.publishing.names import group
from uploader_hf.settings import HubSettings


def targets(target: str, *kinds: str, **settings: Any) -> list[str]:
    context = GroupContext(
        target=target, kinds=kinds, settings=HubSettings(**settings), release=RELEASE
    )
    return [g.target for g in group(context)]


def test_one_repository_per_kind() -> None:
    found = targets("me/m", "lora", "merged-16bit", "gguf", "acme.onnx")
    assert found == ["me/m-LoRA", "me/m", "me/m-GGUF", "me/m-acme-onnx"]


def test_repositories_of_mlx_are_called_as_the_field_does() -> None:
    found = targets("me/m", "mlx", "mlx-lora", "mlx-quantised-4bit", "mlx-quantised-mxfp4")
    assert found == ["me/m-MLX", "me/m-MLX-LoRA", "me/m-MLX-4bit", "me/m-MLX-mxfp4"]


def test_name_that_has_the_suffix_already() -> None:
    assert targets("me/m-GGUF", "gguf") == ["me/m-GGUF"]
    assert targets("me/m-gguf", "gguf") == ["me/m-gguf"]


def test_single_layout() -> None:
    assert targets("me/m", "lora", "gguf", layout="single") == ["me/m"]


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("gguf=quants", ["me/m", "me/quants"]),
        ("gguf=lab/quants", ["me/m", "lab/quants"]),
        ("merged-16bit=me/other", ["me/other", "me/m-GGUF"]),
    ],
)
def test_repository_of_one_format_by_another_name(option: str, found: list[str]) -> None:
    assert targets("me/m", "merged-16bit", "gguf", repo=(option,)) == found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repo": ("gguf",)}, "not of the form KIND=NAME"),
        ({"repo": ("=quants",)}, "not of the form KIND=NAME"),
        ({"repo": ("gguf=a/b/c",)}, "not a repository"),
        ({"repo": ("lora=x",)}, "this release has no lora"),
        ({"repo": ("gguf=m",)}, "would hold merged-16bit and gguf"),
        ({"repo": ("gguf=x",), "layout": "single"}, "--hf-layout single has only one"),
    ],
)
def test_repository_that_does_not_fit_the_request(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        targets("me/m", "merged-16bit", "gguf", **options)


@pytest.mark.parametrize("name", ["m", "me/", "/m", "a/b/c", "me/m--x", "me/-m", "me/ü"])
def test_names_that_the_hub_does_not_take(name: str) -> None:
    with pytest.raises(UsageError):
        targets(name, "merged-16bit")


def test_reference_pattern_tells_names_from_paths() -> None:
    (source,) = uploader_sources()
    assert re.fullmatch(source.matches, "me/model@main")
    assert not re.fullmatch(source.matches, "./me/model")
    assert not re.fullmatch(source.matches, "/me/model")


def test_fetch_brings_what_is_needed_and_pins_the_commit(api: Any, hub: Any) -> None:
    api.create_repo("me/base")
    for name in ("config.json", "model.safetensors", "optimizer.pt", "old.gguf", "sub/x.json"):
        api.upload_file(path_or_fileobj=b"{}", path_in_repo=name, repo_id="me/base")
    context = SourceContext(
        reference="me/base", purpose="base", secrets={"HF_TOKEN": os.environ["HF_TOKEN"]}
    )
    found = fetch(context)
    assert sorted(p.name for p in found.path.iterdir()) == ["config.json", "model.safetensors"]
    assert found.revision == api.repo_info("me/base").sha
    assert found.model_id == "me/base"


def test_fetch_of_what_is_not_there(hub: Any) -> None:
    with pytest.raises(SourceError, match="not on the Hub"):
        fetch(SourceContext(reference="me/nothing", purpose="source"))


def test_fetch_offline_says_so(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not in the cache"):
        fetch(SourceContext(reference="me/nothing", purpose="base", offline=True))
