"""What RamaLama makes of a release: its own code, over https, and for podman."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oci_tools import gguf, manifest_of
from uploader_core.plugin import Receipt, UploadFile
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry

spec = pytest.importorskip("ramalama.transports.oci.spec")

FILES = {"tiny-Q8_0.gguf": gguf(rest=b"8" * 100_000), "LICENSE": b"free", "README.md": b"# t\n"}


@pytest.fixture
def pushed(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
) -> Callable[[str], dict[str, Any]]:
    """Push in a form and return the manifest."""

    def run(form: str) -> dict[str, Any]:
        push(f"{open_registry.host}/{repository}:{form}", make_files(FILES, "gguf"), format=form)
        return manifest_of(open_registry, repository, form)

    return run


@pytest.mark.parametrize("form", ["modelpack", "weights"])
def test_the_manifest_is_what_it_reads(pushed: Callable[[str], dict[str, Any]], form: str) -> None:
    manifest = pushed(form)
    assert spec.is_cncf_artifact_manifest(manifest)
    read = spec.Manifest.from_dict(manifest)
    names = {layer.filepath() for layer in read.layers}
    assert names == (set(FILES) if form == "modelpack" else {"tiny-Q8_0.gguf"})


@pytest.mark.parametrize(
    ("form", "runs"), [("modelpack", "/mnt/models/LICENSE"), ("weights", "/mnt/models")]
)
def test_on_podman_it_runs_the_first_name(
    pushed: Callable[[str], dict[str, Any]], tmp_path: Path, form: str, runs: str
) -> None:
    """It asks podman for the manifest only; where that has one file, podman mounts it so named."""
    from ramalama.oci_tools import OciRef
    from ramalama.transports.oci.strategies import PodmanArtifactStrategy

    podman = tmp_path / "podman"
    podman.write_text(f"#!/bin/sh\ncat <<'X'\n{json.dumps(pushed(form))}\nX\n")
    podman.chmod(0o755)
    strategy = PodmanArtifactStrategy(engine=str(podman), model_store=None)
    assert strategy.entrypoint_path(OciRef.from_ref_string("r.io/a/b:v1")) == runs


@pytest.mark.xfail(
    raises=RuntimeError,
    strict=False,
    reason="0.25.0 removes every blob that it has downloaded, findings/ramalama_pulls_nothing.sh",
)
def test_it_pulls_over_https_what_we_pushed(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ramalama.model_store.global_store import GlobalModelStore
    from ramalama.model_store.store import ModelStore
    from ramalama.oci_tools import OciRef
    from ramalama.transports.oci.strategies import HttpArtifactStrategy

    if not is_available():
        pytest.skip(HOW_TO_GET)
    with loopback_registry(encrypted=True) as server:
        host = server.host.replace("127.0.0.1", "localhost")
        monkeypatch.setenv("OCI_ENDPOINT", f"https://{host}")
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        push(f"{host}/team/tiny:v1", make_files(FILES, "gguf"))
        reference = OciRef.from_ref_string(f"{host}/team/tiny:v1")
        store = ModelStore(GlobalModelStore(str(tmp_path / "store")), "tiny", "oci", "team")
        strategy = HttpArtifactStrategy(model_store=store)
        strategy.pull(reference)
    assert strategy.filenames(reference) == ["tiny-Q8_0.gguf"]
    folder = Path(store.get_snapshot_directory_from_tag("v1"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
