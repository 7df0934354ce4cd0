"""Sources in registries, as we and others push them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bad_line import BadLine, Fault
from uploader_core.plugin import (
    IntegrityError,
    Receipt,
    RefusedError,
    SourceContext,
    SourceError,
    UploadFile,
)
from uploader_oci.fetching.cache import Cache
from uploader_oci.fetching.contents import check_name, choose_folder, parts_of
from uploader_oci.fetching.source import fetch
from uploader_oci.loopback import LoopbackRegistry
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import OCI_INDEX, OCI_MANIFEST
from uploader_oci.registry.reference import parse_reference

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + b"\1\2\3\4" * 1000
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "README.md": b"# m\n",
    "pytorch_model.bin": b"a pickle",
    "modeling.py": b"code",
}
NEEDED = {name: MODEL[name] for name in [*MODEL][:4]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def put(repository: str) -> Callable[..., str]:
    """Push layers ``(media type, name, content)`` as somebody else does; return the reference."""

    def run(host: str, layers: list[tuple[str, str, bytes]], tag: str = "v1", **more: Any) -> str:
        place = parse_reference(f"{host}/{repository}:{tag}")
        with Registry(place, secrets={}, push=True) as registry:
            described = []
            for media_type, name, content in layers:
                blob = Blob.of_bytes(content, name)
                registry.push_blob(blob)
                about = {"org.opencontainers.image.title": name} if name else {}
                described.append(
                    {
                        "mediaType": media_type,
                        "digest": blob.digest,
                        "size": blob.size,
                        "annotations": {**about, **more.get("annotations", {})},
                    }
                )
            config = Blob.of_bytes(b"{}", "config")
            registry.push_blob(config)
            manifest = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": "a/b", "digest": config.digest, "size": 2},
                "layers": described,
            }
            registry.put_manifest(tag, json.dumps(manifest).encode(), OCI_MANIFEST)
        return f"oci:{place}"

    return run


def bring(reference: str, **more: Any) -> Any:
    return fetch(SourceContext(reference=reference, purpose="source", **more))


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def packed(files: dict[str, bytes], *, compress: bool = True) -> bytes:
    """Return an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if compress else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_what_we_pushed_comes_back_without_code_and_pickles(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    place = f"{open_registry.host}/{repository}"
    receipt = push(f"{place}:v1", make_files(MODEL))
    for reference in (f"oci:{place}:v1", f"oci:{place}@{receipt.revision}"):
        found = bring(reference)
        assert files_in(found.path) == NEEDED
        assert (found.model_id, found.revision) == (f"oci:{place}", receipt.revision)
        assert found.unfetched == ("modeling.py", "pytorch_model.bin")
        assert found.path.name == repository.rpartition("/")[2]


def test_a_plan_gets_the_headers_of_weights(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
    tmp_path: Path,
) -> None:
    push(f"{open_registry.host}/{repository}:v1", make_files(MODEL))
    reference = f"oci:{open_registry.host}/{repository}:v1"
    (tmp_path / "outline").mkdir()
    found = bring(reference, outline=tmp_path / "outline")
    assert (found.outline, found.download) == (True, len(WEIGHTS))
    outlined = files_in(found.path)
    assert outlined.keys() == NEEDED.keys()
    assert len(outlined["model.safetensors"]) == len(WEIGHTS)
    assert outlined["model.safetensors"].startswith(WEIGHTS[: 8 + len(HEADER)])
    bring(reference)
    assert not bring(reference, outline=tmp_path / "outline").outline  # all of it is here now


def test_what_is_here_is_found_without_a_network(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    line: BadLine,
    repository: str,
    no_waiting: None,
) -> None:
    push(f"{line.host}/{repository}:v1", make_files(MODEL))
    reference = f"oci:{line.host}/{repository}:v1"
    with pytest.raises(SourceError, match="is not on this machine"):
        bring(reference, offline=True)
    first = bring(reference)
    assert bring(reference, offline=True) == first
    line.faults = [Fault("lose", ".*", times=100)]
    assert bring(reference) == first


def test_nothing_is_fetched_twice(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    line: BadLine,
    repository: str,
) -> None:
    push(f"{line.host}/{repository}:v1", make_files(MODEL))
    for count in (len(NEEDED), 0):
        line.requests.clear()
        bring(f"oci:{line.host}/{repository}:v1")
        assert line.count("GET .*/blobs/") == count


def test_a_damaged_file_is_not_used(
    put: Callable[..., str], open_registry: LoopbackRegistry, cache: Path
) -> None:
    content = b"only here" * 1000
    reference = put(open_registry.host, [("x/y", "model.safetensors", content)])
    path = open_registry.blob_file(Blob.of_bytes(content, "").digest)
    path.write_bytes(bytes(len(content)))
    with pytest.raises(IntegrityError, match="other bytes than its digest says"):
        bring(reference)
    assert not [path for path in cache.rglob("*") if path.suffix in (".safetensors", ".partial")]


def test_files_that_oras_pushed(
    open_registry: LoopbackRegistry, repository: str, tmp_path: Path
) -> None:
    """It calls every file a layer of an image, and packs folders without saying so."""
    client = pytest.importorskip("oras.client").OrasClient(insecure=True)
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    files = [str(path) for path in folder.iterdir()]
    place = f"{open_registry.host}/{repository}"
    client.push(target=f"{place}:files", files=files, disable_path_validation=True)
    client.push(target=f"{place}:folder", files=[str(folder)], disable_path_validation=True)
    wanted = {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS}
    assert files_in(bring(f"oci:{place}:files").path) == wanted
    # It packs a folder under the path that it was given.
    assert files_in(bring(f"oci:{place}:folder").path) == wanted


def test_archives_of_modelpack(put: Callable[..., str], open_registry: LoopbackRegistry) -> None:
    start = "application/vnd.cncf.model"
    layers = [
        (f"{start}.weight.v1.tar", "model.safetensors",
         packed({"model.safetensors": WEIGHTS}, compress=False)),
        (f"{start}.weight.config.v1.tar+gzip", "config.json", packed({"config.json": b"{}"})),
    ]  # fmt: skip
    found = bring(put(open_registry.host, layers))
    assert files_in(found.path) == {"model.safetensors": WEIGHTS, "config.json": b"{}"}


def test_safetensors_of_docker_have_numbers(
    put: Callable[..., str], open_registry: LoopbackRegistry
) -> None:
    layers = [
        ("application/vnd.docker.ai.safetensors", "", WEIGHTS),
        ("application/vnd.docker.ai.safetensors", "", WEIGHTS + b"2"),
        ("application/vnd.docker.ai.vllm.config.tar", "", packed({"config.json": b"{}"},
                                                                 compress=False)),
    ]  # fmt: skip
    assert set(files_in(bring(put(open_registry.host, layers)).path)) == {
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    }  # fmt: skip


def test_an_index_of_one_is_that_one(
    put: Callable[..., str], open_registry: LoopbackRegistry, repository: str
) -> None:
    put(open_registry.host, [("x/y", "config.json", b"{}")])
    place = parse_reference(f"{open_registry.host}/{repository}")
    with Registry(place, secrets={}, push=True) as registry:
        inner = registry.get_manifest("v1")
        entry = {"mediaType": OCI_MANIFEST, "digest": inner.digest, "size": len(inner.content)}
        for tag, entries in (("one", [entry]), ("two", [entry, entry])):
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            registry.put_manifest(tag, json.dumps(index).encode(), OCI_INDEX)
    assert bring(f"oci:{place.tagged('one')}").revision == inner.digest
    with pytest.raises(SourceError, match="is an index of 2 manifests") as error:
        bring(f"oci:{place.tagged('two')}")
    assert f"oci:{place.host}/{place.repository}@{inner.digest}" in str(error.value.next)


@pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "a//x.json", "a\\x.json", "C:x.json"])
def test_a_name_that_leaves_its_folder_is_refused(
    put: Callable[..., str], open_registry: LoopbackRegistry, name: str
) -> None:
    with pytest.raises(SourceError, match="would not stay in its folder"):
        bring(put(open_registry.host, [("x/y", name, b"{}")]))
    with pytest.raises(SourceError, match="would not stay in its folder"):
        bring(put(open_registry.host, [("a.tar+gzip", "folder", packed({name: b"{}"}))]))


def test_an_archive_that_grows_without_an_end(
    put: Callable[..., str], open_registry: LoopbackRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader_oci.fetching.archives._ROOM", 1000)
    bomb = gzip.compress(packed({"x.json": bytes(3_000_000)}, compress=False), 9)
    with pytest.raises(SourceError, match="many times larger"):
        bring(put(open_registry.host, [("a.tar+gzip", "folder", bomb)]))


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OCI_CACHE", str(tmp_path / "file" / "cache"))
    place = parse_reference("registry.example.org/a/b")
    with pytest.raises(RefusedError, match="cannot be kept in") as error:
        Cache().remember(place, "sha256:x", b"{}")
    assert error.value.owner == "OCI_CACHE"


def test_a_tag_that_is_not_there(open_registry: LoopbackRegistry) -> None:
    with pytest.raises(SourceError, match="has no v1"):
        bring(f"oci:{open_registry.host}/no/where:v1")


def test_a_container_image_is_no_model() -> None:
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "x", "size": 1}
    ]
    with pytest.raises(SourceError, match="holds a container image"):
        parts_of({"layers": layers}, "r.io/a/b:v1")


def test_an_archive_that_cannot_be_unpacked_here() -> None:
    layers = [{"mediaType": "application/vnd.cncf.model.weight.v1.tar+zstd", "digest": "x"}]
    with pytest.raises(SourceError, match="is packed with zstd"):
        parts_of({"layers": layers}, "r.io/a/b:v1")


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["config.json", "1_Pooling/config.json"], ""),
        (["merged-16bit/config.json", "merged-16bit/1_Pooling/config.json", "README.md"],
         "merged-16bit"),
        (["README.md"], ""),
    ],
)  # fmt: skip
def test_the_folder_of_the_model(names: list[str], folder: str) -> None:
    assert choose_folder(names, "r.io/a/b") == folder


def test_several_models_are_not_guessed_at() -> None:
    with pytest.raises(SourceError, match="holds several: lora, merged-16bit"):
        choose_folder(["lora/adapter_config.json", "merged-16bit/config.json"], "r.io/a/b")


def test_names_with_letters_beyond_ascii_stay() -> None:
    assert check_name("größe/模型.json", "r.io/a/b") == "größe/模型.json"
