"""Models in Ollama's form, against Debian's docker-registry on this machine."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ollama_files import artifact_of, release, step, upload_file
from uploader_core.plugin import (
    ArrivalContext,
    AuthError,
    Receipt,
    RefusedError,
    UploadFile,
    UsageError,
    VerifyContext,
)
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.client import Registry
from uploader_oci.registry.reference import parse_reference
from uploader_ollama.registry.place import read_place
from uploader_ollama.registry.push import upload as upload_step
from uploader_ollama.registry.verify import still_there, verify
from uploader_ollama.settings import RegistrySettings

Push = Callable[..., Receipt]
MODEL = "application/vnd.ollama.image.model"


@pytest.fixture(scope="module")
def registry() -> Iterator[LoopbackRegistry]:
    if not is_available():
        pytest.skip(HOW_TO_GET)
    with loopback_registry() as server:
        yield server


@pytest.fixture
def push(registry: LoopbackRegistry, tmp_path: Path) -> Push:
    """Run the upload step; keywords are settings."""

    def run(
        name: str,
        files: Sequence[UploadFile],
        server: LoopbackRegistry = registry,
        secrets: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Receipt:
        target = f"{server.host}/{name}"
        chosen = RegistrySettings(**settings)
        return upload_step(step(target, files, chosen, tmp_path / "work", secrets=secrets))

    return run


def manifest_at(registry: LoopbackRegistry, name: str) -> Mapping[str, Any]:
    place = parse_reference(f"{registry.host}/{name}")
    with Registry(place, secrets={}) as opened:
        return opened.get_manifest(place.tag).parse()


def blob(registry: LoopbackRegistry, layer: Mapping[str, Any]) -> bytes:
    return registry.blob_file(layer["digest"]).read_bytes()


def test_the_model_has_the_layers_that_ollama_reads(
    registry: LoopbackRegistry, push: Push, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    push("me/layers", files, system="Be brief.")

    manifest = manifest_at(registry, "me/layers")
    layers = {layer["mediaType"].rpartition(".")[2]: layer for layer in manifest["layers"]}
    assert layers["model"]["digest"] == f"sha256:{files[0].sha256}"
    assert json.loads(blob(registry, layers["params"])) == {"stop": ["</s>", "<|im_end|>"]}
    assert blob(registry, layers["system"]) == b"Be brief."
    assert "template" not in layers
    assert json.loads(blob(registry, manifest["config"])) == {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "1K",
        "file_type": "Q8_0",
        "requires": "0.30.0",
        "architecture": "amd64",
        "os": "linux",
    }


def test_each_kind_has_a_tag_and_no_blob_is_sent_twice(
    registry: LoopbackRegistry, push: Push, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0", "Q4_K_M", size=50_000)
    receipt = push("me/kinds", files)

    tags = receipt.metadata["tags"]
    assert set(tags) == {"latest", "q4_K_M", "q8_0"} and tags["latest"] == tags["q4_K_M"]
    assert receipt.bytes_sent < sum(file.size for file in files) + 10_000


def test_pushing_again_sends_nothing(push: Push, tmp_path: Path) -> None:
    files = release(tmp_path / "r", "Q8_0")
    first = push("me/again", files)
    again = push("me/again", files)
    assert again.bytes_sent == 0 and again.revision == first.revision


def test_tags_of_an_earlier_release_are_named(push: Push, tmp_path: Path) -> None:
    def with_manifest(*kinds: str) -> list[UploadFile]:
        files = release(tmp_path / "-".join(kinds), *kinds)
        made = [{"kind": "gguf", "metadata": artifact_of(files).to_json()["metadata"]}]
        path = files[0].path.with_name("upload_manifest.json")
        path.write_text(json.dumps({"schema": "uploader.manifest/1", "artifacts": made}))
        return [*files, upload_file(path, role="document", kind="document")]

    push("me/earlier", with_manifest("Q8_0", "Q4_K_M"))
    receipt = push("me/earlier", with_manifest("Q8_0"))

    assert receipt.metadata["tags_of_earlier_releases"] == ["q4_K_M", "q8_0"]


def test_verify_names_what_is_missing(
    registry: LoopbackRegistry, push: Push, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0", "Q4_K_M", size=9000)  # blobs of no other test
    listed = [
        {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role, "kind": f.kind}
        for f in files
    ]
    made = [{"kind": "gguf", "metadata": artifact_of(files).to_json()["metadata"]}]
    path = tmp_path / "r" / "upload_manifest.json"
    path.write_text(
        json.dumps({"schema": "uploader.manifest/1", "files": listed, "artifacts": made})
    )
    push("me/verified", [*files, upload_file(path, role="document", kind="document")])
    target = VerifyContext(target=f"{registry.host}/me/verified", settings=RegistrySettings())
    assert verify(target).problems == ()
    said = replace(target, target=f"{registry.host}/me/verified:latest")
    assert verify(said).problems == ()
    one = verify(replace(target, target=f"{registry.host}/me/verified:q8_0"))
    assert (one.problems, one.files) == ((), len(files) - 1)

    registry.blob_file(f"sha256:{files[0].sha256}").write_bytes(b"cut")

    assert [problem.path for problem in verify(target).problems] == [files[0].name]


def test_a_tag_that_was_moved_is_not_still_there(
    registry: LoopbackRegistry, push: Push, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    receipt = push("me/moved", files)
    known = ArrivalContext(
        target=f"{registry.host}/me/moved", receipt=receipt, settings=RegistrySettings()
    )
    assert still_there(known)

    push("me/moved", files, system="another")

    assert not still_there(known)


def test_a_login_is_asked_for_and_a_wrong_one_refused(push: Push, tmp_path: Path) -> None:
    with loopback_registry(auth="basic") as server:
        files = release(tmp_path / "r", "Q8_0")
        push("me/private", files, server=server, secrets=server.environment)
        wrong = {**server.environment, "UPLOADER_OCI_PASSWORD": "wrong-password"}
        with pytest.raises(AuthError):
            push("me/private", files, server=server, secrets=wrong)


def test_ollama_finds_it_by_the_requests_of_a_pull(
    registry: LoopbackRegistry, push: Push, tmp_path: Path
) -> None:
    """As ``pullModelManifest`` and ``downloadBlob`` ask: one kind of manifest is accepted."""
    files = release(tmp_path / "r", "Q8_0")
    push("me/pulled:v1", files)
    url = f"{registry.url}/v2/me/pulled"
    asked = urllib.request.Request(
        f"{url}/manifests/v1",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    with urllib.request.urlopen(asked) as answer:
        manifest = json.loads(answer.read())
    for layer in [manifest["config"], *manifest["layers"]]:
        with urllib.request.urlopen(f"{url}/blobs/{layer['digest']}") as answer:
            content = answer.read()
        assert len(content) == layer["size"]
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == layer["digest"]


@pytest.mark.parametrize(
    "target, rule",
    [
        ("registry.example/tiny", "the only one that Ollama pulls"),
        ("registry.example/a/b/tiny", "the only one that Ollama pulls"),
        ("registry.example/Me/tiny", "upper case"),
        ("registry.example/my.team/tiny", "namespace 'my.team'"),
        ("registry.example/me/tiny:a b", "tag"),
        ("tiny", "names no repository"),
    ],
)
def test_a_name_that_is_not_taken_is_refused_with_its_rule(target: str, rule: str) -> None:
    with pytest.raises(UsageError, match=rule) as refused:
        read_place(target)
    assert "oci:" not in str(refused.value.next)


def test_http_to_another_machine_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OCI_ENDPOINT", "http://registry.example")
    files = release(tmp_path / "r", "Q8_0")
    with pytest.raises(RefusedError, match="another machine"):
        upload_step(step("registry.example/me/tiny", files, RegistrySettings(), tmp_path / "work"))
