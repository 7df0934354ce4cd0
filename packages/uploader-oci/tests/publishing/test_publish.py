"""Releases in docker-registry: what is at which tag, and what a second one sends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bad_line import BadLine
from oci_tools import config_of, files_of, gguf, manifest_of, put_another, put_manifest, tags_of
from uploader_core.plugin import (
    ArrivalContext,
    CancelledError,
    CleanUpContext,
    Receipt,
    RefusedError,
    UploadFile,
    UsageError,
    VerifyContext,
)
from uploader_oci.loopback import LoopbackRegistry
from uploader_oci.publishing.arrival import still_there
from uploader_oci.publishing.publish import clean_up
from uploader_oci.publishing.verify import verify
from uploader_oci.settings import Settings

Push = Callable[..., Receipt]
Make = Callable[..., list[UploadFile]]

MERGED = {
    "model.safetensors": b"weights" * 1000,
    "config.json": b'{"model_type": "llama", "dtype": "bfloat16"}',
    "tokenizer.json": b"{}",
    "LICENSE": b"do what you want",
    "README.md": b"---\nlicense: apache-2.0\n---\n# tiny\n",
}
LORA = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"small", "README.md": b"# a\n"}
GGUF = {
    "tiny-Q8_0.gguf": gguf(rest=b"8" * 8000),
    "tiny-Q4_K_M.gguf": gguf(rest=b"4" * 4000),
    "LICENSE": b"do what you want",
    "README.md": b"# g\n",
}
MADE = {
    "quants": {"tiny-Q8_0.gguf": "Q8_0", "tiny-Q4_K_M.gguf": "Q4_K_M"},
    "parameters": 7_615_616_512,
}


def digests(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def with_manifest(make_files: Make, contents: dict[str, bytes], kind: str) -> list[UploadFile]:
    files = make_files(contents, kind)
    listed = [
        {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role, "kind": f.kind}
        for f in files
    ]
    manifest = {"schema": "uploader.manifest/1", "files": listed, "loads": ["*.safetensors"]}
    return [
        *files,
        *make_files({"upload_manifest.json": json.dumps(manifest).encode()}, kind),
    ]


def test_a_model_in_the_form_of_modelpack(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    receipt = push(f"{open_registry.host}/{repository}:v1", make_files(MERGED))
    assert files_of(open_registry, repository, "v1") == digests(MERGED)
    manifest = manifest_of(open_registry, repository, "v1")
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    types = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"]
        for layer in manifest["layers"]
    }
    start = "application/vnd.cncf.model."
    assert types == {
        "model.safetensors": f"{start}weight.v1.raw",
        "config.json": f"{start}weight.config.v1.raw",
        "tokenizer.json": f"{start}weight.config.v1.raw",
        "LICENSE": f"{start}doc.v1.raw",
        "README.md": f"{start}doc.v1.raw",
    }
    assert manifest["annotations"] == {
        "io.uploader.kind": "merged-16bit",
        "io.uploader.role": "model",
        "io.uploader.base": "acme/base",
        "io.uploader.base.revision": "c0ffee",
        "org.opencontainers.image.title": "tiny",
        "org.opencontainers.image.description": "tiny, a model made from acme/base",
        "org.opencontainers.image.licenses": "apache-2.0",
    }
    assert config_of(open_registry, repository, "v1") == {
        "descriptor": {
            "name": "tiny",
            "family": "llama",
            "title": "tiny, a model made from acme/base",
            "licenses": ["apache-2.0"],
        },
        "config": {"architecture": "llama", "format": "safetensors", "precision": "bf16"},
        "modelfs": {
            "type": "layers",
            "diffIds": [layer["digest"] for layer in manifest["layers"]],
        },
    }
    assert receipt.files == len(MERGED)
    assert receipt.revision is not None
    assert receipt.revision.startswith("sha256:")


def test_an_adapter_says_what_it_is(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    push(f"{open_registry.host}/{repository}:v1", make_files(LORA, "lora"))
    annotations = manifest_of(open_registry, repository, "v1")["annotations"]
    assert annotations["io.uploader.role"] == "adapter"
    assert annotations["io.uploader.base"] == "acme/base"


def test_every_quantisation_is_a_model_of_its_own(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    """Docker Model Runner takes all weights of a manifest for the parts of one model."""
    push(f"{open_registry.host}/{repository}:v1", make_files(GGUF, "gguf"), metadata=MADE)
    assert tags_of(open_registry, repository) == ["v1", "v1-Q4_K_M", "v1-Q8_0"]
    small = {n: d for n, d in digests(GGUF).items() if n != "tiny-Q8_0.gguf"}
    assert files_of(open_registry, repository, "v1") == small
    assert files_of(open_registry, repository, "v1-Q4_K_M") == small
    assert "tiny-Q8_0.gguf" in files_of(open_registry, repository, "v1-Q8_0")
    assert config_of(open_registry, repository, "v1-Q8_0")["config"] == {
        "architecture": "llama",
        "format": "gguf",
        "paramSize": "7.6b",
        "quantization": "Q8_0",
    }


def test_a_modelfile_is_where_the_file_is_that_it_runs(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    contents = {**GGUF, "Modelfile": b"FROM ./tiny-Q8_0.gguf\n# or FROM ./tiny-Q4_K_M.gguf\n"}
    push(f"{open_registry.host}/{repository}:v1", make_files(contents, "gguf"), metadata=MADE)
    with_it = [t for t in tags_of(open_registry, repository)
               if "Modelfile" in files_of(open_registry, repository, t)]  # fmt: skip
    assert with_it == ["v1-Q8_0"]


def test_the_manifest_of_a_quantisation_lists_what_is_there(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}"
    push(f"{target}:v1", with_manifest(make_files, GGUF, "gguf"), metadata=MADE)
    for tag in ("v1", "v1-Q8_0", "v1-Q4_K_M"):
        found = verify(VerifyContext(target=f"{target}:{tag}", settings=Settings()))
        assert (found.problems, found.files) == ((), 3)


def test_a_form_without_the_manifest_says_which_tag_has_it(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    push(target, with_manifest(make_files, GGUF, "gguf"), metadata=MADE, format="all")
    with pytest.raises(UsageError, match=r"has no upload_manifest\.json") as error:
        verify(VerifyContext(target=f"{target}-ollama", settings=Settings()))
    assert "the tag without -ollama" in str(error.value.next)


def test_all_forms_are_over_the_same_blobs(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, line: BadLine, repository: str
) -> None:
    receipt = push(
        f"{line.host}/{repository}:v1", make_files(GGUF, "gguf"), metadata=MADE, format="all"
    )
    assert tags_of(open_registry, repository) == sorted(
        f"v1{quant}{form}"
        for quant in ("", "-Q4_K_M", "-Q8_0")
        for form in ("", "-docker", "-ollama")
    )
    configs = {
        (config["digest"], config["size"])
        for tag in tags_of(open_registry, repository)
        if (config := manifest_of(open_registry, repository, tag)["config"])
    }
    sizes = sum(map(len, GGUF.values()))
    assert receipt.bytes_sent == sizes + sum(size for _, size in configs)

    docker = manifest_of(open_registry, repository, "v1-docker")
    assert docker["config"]["mediaType"] == "application/vnd.docker.ai.model.config.v0.1+json"
    assert [layer["mediaType"].rpartition(".ai.")[2] for layer in docker["layers"]] == [
        "gguf.v3", "license", "model.file",
    ]  # fmt: skip
    ollama = manifest_of(open_registry, repository, "v1-ollama")
    assert ollama["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert [layer["mediaType"].rpartition(".")[2] for layer in ollama["layers"]] == [
        "model", "license",
    ]  # fmt: skip
    config = config_of(open_registry, repository, "v1-ollama")
    assert (config["model_family"], config["file_type"], config["model_type"]) == (
        "llama", "Q4_K_M", "7.6B",
    )  # fmt: skip


def test_a_projector_comes_after_the_model(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    """What reads the first weights as the model reads the model."""
    name = "mmproj-tiny-F16.gguf"
    files = make_files({name: gguf(), "tiny-Q8_0.gguf": gguf(rest=b"8")}, "gguf")
    made = {"quants": {"tiny-Q8_0.gguf": "Q8_0"}, "mmproj": name}
    target = f"{open_registry.host}/{repository}:v1"
    push(target, files, metadata=made, format="all")
    found = {}
    for tag in tags_of(open_registry, repository):
        layers = manifest_of(open_registry, repository, tag)["layers"]
        found[tag] = [
            (x["annotations"]["org.cncf.model.filepath"], x["mediaType"].partition("vnd.")[2])
            for x in layers
        ]
    assert found == {
        "v1": [("tiny-Q8_0.gguf", "cncf.model.weight.v1.raw"), (name, "cncf.model.weight.v1.raw")],
        "v1-docker": [("tiny-Q8_0.gguf", "docker.ai.gguf.v3"), (name, "docker.ai.mmproj")],
        "v1-ollama": [("tiny-Q8_0.gguf", "ollama.image.model"), (name, "ollama.image.projector")],
    }


def test_a_config_for_docker_has_a_time_and_always_the_same(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    """Older runners take its seconds without looking whether there is one."""
    push(f"{open_registry.host}/{repository}:v1", make_files(GGUF, "gguf"), format="docker")
    config = config_of(open_registry, repository, "v1")
    assert config["descriptor"] == {"created": "1970-01-01T00:00:00Z"}


@pytest.mark.parametrize("form", ["modelpack", "docker", "ollama", "weights", "all"])
def test_every_file_arrives_in_every_form(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str, form: str
) -> None:
    receipt = push(
        f"{open_registry.host}/{repository}:v1",
        make_files(GGUF, "gguf"),
        metadata=MADE,
        format=form,
    )
    there: set[str] = set()
    for tag in tags_of(open_registry, repository):
        there |= set(files_of(open_registry, repository, tag))
    assert there == set(GGUF)
    assert receipt.files == len(GGUF)


def test_safetensors_for_docker_keep_their_configuration(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    push(f"{open_registry.host}/{repository}:v1", make_files(MERGED), format="docker")
    manifest = manifest_of(open_registry, repository, "v1")
    assert manifest["config"]["mediaType"].endswith("model.config.v0.2+json")
    assert files_of(open_registry, repository, "v1") == digests(MERGED)


@pytest.mark.parametrize("form", ["docker", "ollama"])
def test_a_form_without_room_is_refused(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str, form: str
) -> None:
    with pytest.raises(RefusedError, match=f"--oci-format {form} has no form for this: adapter"):
        push(f"{open_registry.host}/{repository}:v1", make_files(LORA, "lora"), format=form)


def test_a_second_push_sends_next_to_nothing(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, line: BadLine, repository: str
) -> None:
    files = make_files(MERGED)
    first = push(f"{line.host}/{repository}:v1", files)
    line.requests.clear()
    line.received = 0
    second = push(f"{line.host}/{repository}:v1", files)
    assert (second.bytes_sent, line.received) == (0, 0)
    assert second.revision == first.revision
    assert not line.count("(POST|PUT|PATCH) ")


def test_the_same_files_in_another_repository_are_mounted(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, line: BadLine, repository: str
) -> None:
    files = make_files(MERGED)
    push(f"{line.host}/{repository}-base:v1", files)
    line.received = 0
    receipt = push(f"{line.host}/{repository}:v1", files, mount_from=(f"{repository}-base",))
    assert receipt.metadata["mounted"] == len(MERGED)
    assert line.received < 3000  # a manifest and a config
    assert files_of(open_registry, repository, "v1") == digests(MERGED)


def test_a_tag_of_somebody_else_is_refused_until_it_may_be_replaced(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    push(target, make_files(LORA, "lora"))
    manifest = manifest_of(open_registry, repository, "v1")
    del manifest["annotations"]
    put_manifest(open_registry, repository, "v1", manifest)
    with pytest.raises(RefusedError, match="no release of uploader made it") as error:
        push(target, make_files(MERGED))
    assert "--oci-foreign replace" in str(error.value.next)
    assert set(files_of(open_registry, repository, "v1")) == set(LORA)
    push(target, make_files(MERGED), foreign="replace")
    assert set(files_of(open_registry, repository, "v1")) == set(MERGED)


def test_a_release_is_there_until_another_is(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    receipt = push(target, make_files(MERGED))
    context = ArrivalContext(target=target, receipt=receipt, settings=Settings())
    assert still_there(context)
    put_another(open_registry, repository, "v1", "config.json")
    assert not still_there(context)


def test_verification_names_what_is_wrong(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    contents = {**MERGED, "model.safetensors": b"of this test alone" * 100}
    push(target, with_manifest(make_files, contents, "merged-16bit"))

    def problems(**settings: Any) -> list[str]:
        found = verify(VerifyContext(target=target, settings=Settings(**settings)))
        return [f"{p.path} {p.what}" for p in found.problems]

    assert problems() == []
    put_another(open_registry, repository, "v1", "config.json")
    (problem,) = problems()
    assert problem.startswith("config.json has ")
    push(target, with_manifest(make_files, contents, "merged-16bit"))
    assert problems() == []
    damaged = open_registry.blob_file(digests(contents)["model.safetensors"])
    damaged.write_bytes(bytes(len(contents["model.safetensors"])))
    assert problems() == []  # the registry still lists the digest
    (read,) = problems(verify="read")
    assert read.startswith("model.safetensors cannot be read back")
    damaged.unlink()
    assert problems() == ["model.safetensors is in the manifest, and the registry does not have it"]


def test_what_is_no_release_cannot_be_verified(
    push: Push, make_files: Make, open_registry: LoopbackRegistry, repository: str
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    push(target, make_files(LORA, "lora"))
    with pytest.raises(UsageError, match=r"has no upload_manifest\.json"):
        verify(VerifyContext(target=target, settings=Settings()))


def test_a_session_is_kept_for_a_next_attempt_and_given_up_without_one(
    push: Push,
    make_files: Make,
    open_registry: LoopbackRegistry,
    repository: str,
    tmp_path: Path,
) -> None:
    def stop(what: str, done: int, *_: object) -> None:
        if "model.safetensors" in what and done:
            raise CancelledError("stopped")

    target = f"{open_registry.host}/{repository}:v1"
    with pytest.raises(CancelledError):
        push(target, make_files({**MERGED, "model.safetensors": bytes(90_000)}),
             on_progress=stop, chunk=30_000)  # fmt: skip
    assert open_registry.sessions(repository) == 1

    def end(why: str, *, again: bool = False) -> bool:
        return clean_up(
            CleanUpContext(
                target=target, why=why, again=again, state=tmp_path / "state", settings=Settings()
            )
        )

    assert not end("killed", again=True)
    assert not end("failed")
    assert open_registry.sessions(repository) == 1
    assert end("cancelled")
    assert open_registry.sessions(repository) == 0
