"""Models in buckets as sources: what is fetched, what is read for a plan, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stored_model import MODEL, weights
from uploader_core.plugin import (
    AuthError,
    FetchedSource,
    PluginError,
    SourceError,
    TemporaryError,
    UsageError,
)
from uploader_fsspec.loopback import LoopbackS3
from uploader_kit.proxy import FaultProxy

Fetch = Callable[..., FetchedSource]
PARTS = {"config.json", "tokenizer.json", "model.safetensors"}


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_what_a_release_can_depend_on_is_fetched(model: str, fetch: Fetch) -> None:
    found = fetch(f"{model}/")
    assert files_in(found.path) == {name: MODEL[name] for name in PARTS}
    assert found.model_id == model
    assert found.path.name == "x"
    assert {*found.unfetched} == {"optimizer.pt", "pytorch_model.bin", "modeling_x.py"}


def test_a_plan_reads_headers(model: str, fetch: Fetch, line: FaultProxy) -> None:
    found = fetch(model, outline=True)
    assert found.outline and found.download == len(MODEL["model.safetensors"])
    outline = (found.path / "model.safetensors").read_bytes()
    assert len(outline) == found.download
    assert outline.rstrip(b"\0") == MODEL["model.safetensors"][: len(outline.rstrip(b"\0"))]
    assert line.answered < 200_000


def test_what_is_here_is_not_fetched_again(model: str, fetch: Fetch, line: FaultProxy) -> None:
    first = fetch(model)
    line.answered = 0
    assert fetch(model) == first
    assert not fetch(model, outline=True).outline
    assert line.answered < 20_000  # listings


def test_after_a_change_only_what_differs_is_fetched(
    s3: LoopbackS3, bucket: str, model: str, fetch: Fetch
) -> None:
    first = fetch(model)
    s3.put(bucket, "models/x/config.json", b'{"model_type": "qwen2"}')
    second = fetch(model)
    assert second.revision != first.revision
    assert (second.path / "config.json").read_bytes() == b'{"model_type": "qwen2"}'
    assert (first.path / "config.json").read_bytes() == MODEL["config.json"]
    assert (second.path / "model.safetensors").samefile(first.path / "model.safetensors")


def test_shards_that_the_index_names_are_fetched(s3: LoopbackS3, bucket: str, fetch: Fetch) -> None:
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "../../evil.safetensors"}}'
    for name, content in (
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", weights(10)),
        ("model-9.safetensors", weights(10)),
        ("additional_chat_templates/tools.jinja", b"x"),
        ("1_Pooling/config.json", b"{}"),
    ):
        s3.put(bucket, f"base/{name}", content)
    found = fetch(f"s3://{bucket}/base", purpose="base")
    assert {*files_in(found.path)} == {
        *("config.json", "model.safetensors.index.json", "model-1.safetensors"),
        *("additional_chat_templates/tools.jinja", "1_Pooling/config.json"),
    }


def test_an_adapter_in_the_root_of_a_bucket(s3: LoopbackS3, bucket: str, fetch: Fetch) -> None:
    s3.put(bucket, "adapter_config.json", b"{}")
    s3.put(bucket, "adapter_model.safetensors", weights(10))
    found = fetch(f"s3://{bucket}")
    assert {*files_in(found.path)} == {"adapter_config.json", "adapter_model.safetensors"}


def test_without_a_network_what_is_here_is_found(
    model: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(model)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert fetch(model) == first
    assert fetch(model, offline=True) == first
    with pytest.raises(TemporaryError, match="listing in s3://.*other failed"):
        fetch(f"{model}-other")
    with pytest.raises(SourceError, match="is not on this machine"):
        fetch(f"{model}-other", offline=True)


def test_folder_of_this_machine_is_used_as_it_is(fetch: Fetch, tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "x"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    assert fetch(folder.as_uri()).path == folder


def test_name_that_would_leave_its_folder_is_refused(
    s3: LoopbackS3, bucket: str, model: str, fetch: Fetch
) -> None:
    s3.put(bucket, "models/x/..\\evil.json", b"{}")
    with pytest.raises(SourceError, match="would not stay in its folder"):
        fetch(model)


def test_folder_without_a_model_names_those_that_have_one(
    s3: LoopbackS3, bucket: str, fetch: Fetch
) -> None:
    s3.put(bucket, "release/lora/adapter_config.json", b"{}")
    s3.put(bucket, "release/README.md", b"#")
    with pytest.raises(SourceError, match="there is lora/") as caught:
        fetch(f"s3://{bucket}/release")
    assert caught.value.next == f"uploader run s3://{bucket}/release/lora"


def test_what_is_not_there_is_named(bucket: str, fetch: Fetch) -> None:
    with pytest.raises(SourceError, match=f"there is nothing at s3://{bucket}/nowhere"):
        fetch(f"s3://{bucket}/nowhere")
    with pytest.raises(SourceError, match="there is no bucket no-such-bucket"):
        fetch("s3://no-such-bucket/x")


def test_missing_credentials_are_named(
    model: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AuthError, match="there are no credentials for s3://") as caught:
        fetch(model)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.next)


def test_protocol_that_is_not_installed_is_named_with_its_package(fetch: Fetch) -> None:
    pytest.importorskip("fsspec")
    try:
        import gcsfs  # noqa: F401
    except ImportError:
        with pytest.raises(PluginError, match="speaks gs://") as caught:
            fetch("gs://bucket/x")
        assert caught.value.next == 'pip install "uploader-fsspec[gcs]"'
    with pytest.raises(PluginError, match="speaks nonsense://"):
        fetch("nonsense://bucket/x")


@pytest.mark.parametrize("address", ["s3://", "s3:///", "sftp://me:secret@host/x"])
def test_address_that_is_none_is_refused(address: str, fetch: Fetch) -> None:
    with pytest.raises(UsageError) as caught:
        fetch(address)
    assert "secret" not in str(caught.value.to_json())


def test_what_a_release_says_of_itself_is_fetched_without_weights(
    s3: LoopbackS3, bucket: str, fetch: Fetch, line: FaultProxy
) -> None:
    names = ("upload_manifest.json", "gguf/tensor_digests.json", "gguf/config.json")
    for name in (*names, "gguf/model.gguf", "lora/adapter_model.safetensors"):
        s3.put(bucket, f"releases/x/{name}", b"{}")
    found = fetch(f"s3://{bucket}/releases/x", purpose="release")
    assert files_in(found.path) == dict.fromkeys(names[:2], b"{}")
