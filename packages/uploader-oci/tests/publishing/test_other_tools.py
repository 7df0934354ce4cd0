"""What other people's tools get of a release: skopeo, and oras for Python."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_tools import gguf
from uploader_core.plugin import Receipt, UploadFile
from uploader_oci.loopback import LoopbackRegistry

CONTENTS = {
    "adapter_config.json": b"{}",
    "adapter_model.safetensors": b"weights" * 100_000,
    "README.md": b"# all\n",
    "parts/README.md": b"# parts\n",
}


@pytest.fixture
def pushed(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> tuple[str, Receipt]:
    target = f"{open_registry.host}/{repository}:v1"
    return target, push(target, make_files(CONTENTS, "lora"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("form", ["modelpack", "docker"])
def test_skopeo_copies_what_is_in_an_oci_manifest(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
    tmp_path: Path,
    form: str,
) -> None:
    """Not Ollama's: it refuses layers that it does not know in a manifest of Docker's schema 2."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not on the PATH: apt-get install skopeo")
    files = {"m-Q8_0.gguf": gguf(rest=b"8" * 100_000), "LICENSE": b"free"}
    target = f"{open_registry.host}/{repository}:v1"
    receipt = push(target, make_files(files, "gguf"), format=form)
    copy = tmp_path / "copy"
    command = [skopeo, "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{target}",
               f"dir:{copy}"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    assert f"sha256:{sha256((copy / 'manifest.json').read_bytes())}" == receipt.revision
    for content in files.values():
        assert (copy / sha256(content)).read_bytes() == content


def test_oras_pulls_every_file_by_its_path(pushed: tuple[str, Receipt], tmp_path: Path) -> None:
    """Two files of one name stay two: oras for Python itself would title them alike."""
    client = pytest.importorskip("oras.client").OrasClient(insecure=True)
    target, _ = pushed
    client.pull(target=target, outdir=str(tmp_path / "pulled"))
    pulled = {
        path.relative_to(tmp_path / "pulled").as_posix(): path.read_bytes()
        for path in (tmp_path / "pulled").rglob("*")
        if path.is_file()
    }
    assert pulled == CONTENTS


def test_oras_reads_the_manifest(pushed: tuple[str, Receipt]) -> None:
    client = pytest.importorskip("oras.client").OrasClient(insecure=True)
    target, receipt = pushed
    manifest = client.get_manifest(target)
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert receipt.metadata["tags"] == {"v1": receipt.revision}
    assert json.dumps(manifest).count("sha256:") == len(CONTENTS) + 1
