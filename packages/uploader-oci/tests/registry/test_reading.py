"""Blobs and manifests from a registry: verified, over lost connections."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator

import pytest

from bad_line import BadLine, Fault
from uploader_core.plugin import IntegrityError, RefusedError, SourceError
from uploader_oci.loopback import LoopbackRegistry
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import LARGEST_MANIFEST, OCI_MANIFEST
from uploader_oci.registry.reference import parse_reference

SIZE = 1_000_000


@pytest.fixture
def registry(line: BadLine) -> Iterator[Registry]:
    reference = parse_reference(f"{line.host}/reading/model")
    with Registry(reference, secrets={}, push=True) as found:
        yield found


@pytest.fixture
def blob(registry: Registry, make_blob: Callable[..., Blob]) -> Blob:
    """A blob that is there."""
    made = make_blob(SIZE)
    registry.push_blob(made)
    return made


def content(blob: Blob) -> bytes:
    assert blob.path is not None
    return blob.path.read_bytes()


def test_a_blob_is_read_and_compared(registry: Registry, blob: Blob) -> None:
    file, told = io.BytesIO(), list[int]()
    registry.open_blob(blob.digest, SIZE).copy_to(file, told.append)
    assert file.getvalue() == content(blob)
    assert told[-1] == SIZE


def test_a_range_is_read(registry: Registry, blob: Blob) -> None:
    assert registry.read_range(blob.digest, 10, 20) == content(blob)[10:20]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", ["lose", "refuse"])
def test_reading_is_tried_again(registry: Registry, blob: Blob, line: BadLine, kind: str) -> None:
    line.faults = [Fault(kind, "GET .*/blobs/", times=2)]
    assert b"".join(registry.open_blob(blob.digest, SIZE)) == content(blob)
    assert line.hit == 2


def test_a_damaged_blob_is_refused(
    registry: Registry, blob: Blob, open_registry: LoopbackRegistry
) -> None:
    open_registry.blob_file(blob.digest).write_bytes(bytes(SIZE))
    with pytest.raises(IntegrityError, match="other bytes than its digest says"):
        b"".join(registry.open_blob(blob.digest, SIZE))


def test_a_large_blob_is_not_read_into_memory(registry: Registry, blob: Blob) -> None:
    with pytest.raises(RefusedError, match="more than 1,000"):
        registry.read_blob(blob.digest, SIZE, limit=1000)


def test_a_manifest_is_put_and_got(registry: Registry) -> None:
    config = Blob.of_bytes(b"{}", "config")
    registry.push_blob(config)
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "a/b", "digest": config.digest, "size": 2},
            "layers": [],
        }
    ).encode()
    assert registry.find_manifest("v1") is None
    digest = registry.put_manifest("v1", text, OCI_MANIFEST)
    found = registry.find_manifest("v1")
    assert found is not None
    assert found.digest == digest
    for version in ("v1", digest):
        manifest = registry.get_manifest(version)
        assert (manifest.content, manifest.media_type) == (text, OCI_MANIFEST)


def test_a_tag_that_is_not_there(registry: Registry) -> None:
    with pytest.raises(SourceError, match="reading/model has no nowhere"):
        registry.get_manifest("nowhere")


def test_a_manifest_above_the_limit_is_not_sent(registry: Registry, line: BadLine) -> None:
    with pytest.raises(RefusedError, match="registries take 4,194,304"):
        registry.put_manifest("v1", bytes(LARGEST_MANIFEST + 1), OCI_MANIFEST)
    assert not line.count("PUT .*/manifests/")
