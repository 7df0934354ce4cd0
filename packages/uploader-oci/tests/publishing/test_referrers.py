"""A signature that is found by the digest of what it is about, without pulling it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from oci_tools import files_of, get, gguf, manifest_of, put_manifest, tags_of
from uploader_core.contract.returned import check_receipt
from uploader_core.plugin import Receipt, UploadFile
from uploader_oci.loopback import LoopbackRegistry
from uploader_oci.publishing.referrers import BUNDLE

SIGNED = {
    "model.safetensors": b"weights",
    "config.json": b"{}",
    "model.sig": json.dumps({"mediaType": BUNDLE}).encode(),
}


def about(server: LoopbackRegistry, repository: str, tag: str) -> tuple[str, dict[str, Any]]:
    """Return the digest of what a tag stands for, and the index of what refers to it."""
    digest = hashlib.sha256(get(server, f"{repository}/manifests/{tag}")).hexdigest()
    url = f"{server.url}/v2/{repository}/manifests/sha256-{digest}"
    accept = "Accept: application/vnd.oci.image.index.v1+json"
    index = subprocess.run(["curl", "-sfH", accept, url], capture_output=True, check=True).stdout
    return f"sha256:{digest}", json.loads(index)


pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl asks for the index")


def test_a_signature_is_a_referrer_of_the_model(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    receipt = push(f"{open_registry.host}/{repository}:v1", make_files(SIGNED))
    subject, index = about(open_registry, repository, "v1")
    (listed,) = index["manifests"]
    assert listed["artifactType"] == BUNDLE
    assert receipt.metadata["signatures"] == {"v1": listed["digest"]}
    referrer = manifest_of(open_registry, repository, listed["digest"])
    assert referrer["subject"]["digest"] == subject == receipt.revision
    (layer,) = referrer["layers"]
    assert layer["mediaType"] == BUNDLE
    assert get(open_registry, f"{repository}/blobs/{layer['digest']}") == SIGNED["model.sig"]


def test_those_of_others_stay_and_ours_is_listed_once(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    target, files = f"{open_registry.host}/{repository}:v1", make_files(SIGNED)
    push(target, files)
    subject, index = about(open_registry, repository, "v1")
    theirs = {**index["manifests"][0], "artifactType": "application/spdx+json"}
    index["manifests"].insert(0, theirs)
    put_manifest(open_registry, repository, subject.replace(":", "-"), index)
    push(target, files)
    assert about(open_registry, repository, "v1")[1] == index


def test_what_is_not_signed_has_none(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    del (unsigned := {**SIGNED})["model.sig"]
    push(f"{open_registry.host}/{repository}:v1", make_files(unsigned))
    assert tags_of(open_registry, repository) == ["v1"]


def test_a_tag_with_a_part_of_the_files_has_no_signature_of_all(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    quants = {f"tiny-{quant}.gguf": gguf(rest=quant.encode()) for quant in ("Q8_0", "Q4_K_M")}
    manifest = {
        "schema": "uploader.manifest/1",
        "files": [{"path": name} for name in quants],
        "detached": ["SHA256SUMS", "model.sig"],
    }
    contents = {
        **quants,
        "upload_manifest.json": json.dumps(manifest).encode(),
        "SHA256SUMS": b"of all",
        "model.sig": b"{}",
    }
    receipt = push(f"{open_registry.host}/{repository}:v1", make_files(contents, "gguf"))
    check_receipt(receipt, len(contents))  # as the run does, which counts what it handed over
    there = ["tiny-Q4_K_M.gguf", "upload_manifest.json"]
    assert [*files_of(open_registry, repository, "v1")] == there
    names = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["digest"]
        for layer in manifest_of(open_registry, repository, "v1")["layers"]
    }
    left = json.loads(get(open_registry, f"{repository}/blobs/{names[there[1]]}"))
    assert "detached" not in left
