"""A release in a registry, and releases made from it, by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import OCI_MANIFEST
from uploader_oci.registry.reference import parse_reference


@pytest.fixture
def registry(uploader: Any, tmp_path: Path) -> Iterator[LoopbackRegistry]:
    """A registry with a password that the command knows."""
    if not is_available():
        pytest.skip(HOW_TO_GET)
    with loopback_registry(auth="basic") as server:
        uploader.environment |= {
            **server.environment, "OCI_CACHE": str(tmp_path / "oci-cache"),
        }  # fmt: skip
        yield server


def push_folder(server: LoopbackRegistry, repository: str, folder: Path) -> None:
    """Push a folder as somebody else does: each file as a layer with its name."""
    place = parse_reference(f"{server.host}/{repository}")
    with Registry(place, secrets=server.environment, push=True) as registry:
        blobs = [Blob.of_bytes(path.read_bytes(), path.name) for path in sorted(folder.iterdir())]
        config = Blob.of_bytes(b"{}", "config")
        for blob in (*blobs, config):
            registry.push_blob(blob)
        layers = [
            {
                "mediaType": "application/octet-stream",
                "digest": blob.digest,
                "size": blob.size,
                "annotations": {"org.opencontainers.image.title": blob.label},
            }
            for blob in blobs
        ]
        about = {"mediaType": "a/b", "digest": config.digest, "size": 2}
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": about,
            "layers": layers,
        }
        registry.put_manifest("latest", json.dumps(manifest).encode(), OCI_MANIFEST)


def test_adapter_and_base_come_from_a_registry(
    uploader: Any, fine_tune: Path, registry: LoopbackRegistry
) -> None:
    place = f"oci:{registry.host}/me/tiny"
    push_folder(registry, "me/tiny-base", fine_tune.parents[1] / "base")
    result = uploader("run", fine_tune, "--plugins", "lora,merged-16bit", "--to", f"{place}:v1",
                      "--yes", "--output", "first")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert uploader("verify", f"{place}:v1").returncode == 0

    result = uploader("run", f"{place}:v1-lora", "--base", f"{place}-base",
                      "--plugins", "merged-16bit", "--output", "second")  # fmt: skip
    assert result.returncode == 0, result.stderr
    name = "merged-16bit/model.safetensors"
    first, second = (uploader.cwd / run / name for run in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    # A place in a registry is no name on the Hub, and no card may say so.
    for path in (uploader.cwd / "second").rglob("*.md"):
        assert "oci:" not in path.read_text().partition("\n---\n")[0]


def test_a_second_release_to_a_tag_is_kept(
    uploader: Any, fine_tune: Path, registry: LoopbackRegistry
) -> None:
    arguments = ("run", fine_tune, "--plugins", "lora", "--to", f"oci:{registry.host}/me/tiny:v1",
                 "--yes", "--output", "out")  # fmt: skip
    assert uploader(*arguments).returncode == 0
    again = json.loads(uploader("plan", *arguments[1:-3], "--output", "out", "--json").stdout)
    assert {step["id"] for step in again["steps"]} == set(again["kept"])


def test_a_wrong_password_stops_before_anything_is_computed(
    uploader: Any, fine_tune: Path, registry: LoopbackRegistry
) -> None:
    uploader.environment["UPLOADER_OCI_PASSWORD"] = "wrong-password-2"
    result = uploader("run", fine_tune, "--plugins", "lora", "--to",
                      f"oci:{registry.host}/me/tiny:v1", "--yes", "--output", "out")  # fmt: skip
    assert result.returncode == 6
    assert "does not accept this login" in result.stderr
    assert "wrong-password-2" not in result.stderr + result.stdout
    assert not (uploader.cwd / "out").exists()


@pytest.mark.slow
def test_release_in_a_registry_is_made_once_more(
    uploader: Any, fine_tune: Path, registry: LoopbackRegistry
) -> None:
    place = f"oci:{registry.host}/me/tiny:v1"
    single = ("--plugins", "lora,gguf", "--gguf-quants", "Q8_0", "--oci-layout", "single")
    result = uploader("run", fine_tune, *single, "--to", place, "--yes", "--output", "first")
    assert result.returncode == 0, result.stderr
    base = fine_tune.parents[1] / "base"
    result = uploader("reproduce", place, "--from", fine_tune, "--base", base, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert {v["kind"]: v["grade"] for v in found["artifacts"]} == {
        "lora": "bit-equal",
        "gguf": "bit-equal",
    }
    assert not [*(uploader.cwd / "oci-cache").rglob("*.gguf")]
