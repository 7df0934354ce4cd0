"""Signed releases: OpenSSF's own verifier takes them wherever they went, unless touched."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signed_folders import SIGN, moved
from signing_tools import upstream_verifies
from tampering import CHANGES
from uploader_command import Uploader
from uploader_oci.loopback import LoopbackRegistry


@pytest.mark.parametrize("place", ["release", "release/lora", "copy"])
def test_upstream_accepts_a_folder_as_it_lies(
    place: str, release: Path, public_key: Path, tmp_path: Path
) -> None:
    folder = release.parent / place
    assert upstream_verifies(folder, public_key) == (True, "Verification succeeded\n")
    assert upstream_verifies(moved(folder, tmp_path), public_key)[0]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", ["release", "release/lora", "copy"])
def test_upstream_rejects_a_folder_that_was_touched(
    place: str, change: Callable[..., str], release: Path, public_key: Path, tmp_path: Path
) -> None:
    for seed in range(3):
        folder = moved(release.parent / place, tmp_path / str(seed))
        name = change(folder, random.Random(seed))
        accepted, said = upstream_verifies(folder, public_key)
        assert not accepted and name in said


def test_sha256sum_accepts_every_place(release: Path) -> None:
    if not shutil.which("sha256sum"):
        pytest.skip("there is no sha256sum here")
    for folder in (release, release.parent / "copy"):
        words = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
        checked = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout


def test_upstream_accepts_what_was_downloaded_from_the_hub(
    release: Path, signed_hub: Any, public_key: Path, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    folder = tmp_path / "downloaded"
    token = signed_hub.token("me")
    snapshot_download("me/tiny-LoRA", local_dir=folder, endpoint=signed_hub.url, token=token)
    assert (folder / ".cache" / "huggingface").is_dir()  # which nobody signed
    assert upstream_verifies(folder, public_key) == (True, "Verification succeeded\n")
    name = CHANGES[0](folder, random.Random(1))
    accepted, said = upstream_verifies(folder, public_key)
    assert not accepted and name in said


def test_a_snapshot_in_the_cache_of_the_hub_is_made_of_links(
    release: Path, signed_hub: Any, public_key: Path, tmp_path: Path
) -> None:
    """Which upstream takes when it is told so, and so it is said in the documentation."""
    from huggingface_hub import snapshot_download

    token = signed_hub.token("me")
    folder = snapshot_download(
        "me/tiny-LoRA", cache_dir=tmp_path, endpoint=signed_hub.url, token=token
    )
    assert not upstream_verifies(Path(folder), public_key)[0]
    assert upstream_verifies(Path(folder), public_key, "--allow_symlinks")[0]


@pytest.mark.parametrize("by", ["oras", "skopeo"])
def test_upstream_accepts_what_was_pulled_from_a_registry(
    by: str, release: Path, registry: LoopbackRegistry | None, public_key: Path, tmp_path: Path
) -> None:
    if registry is None:
        pytest.skip("docker-registry is not on the PATH")
    import oras.client

    name = f"{registry.host}/me/tiny:v1"
    if by == "skopeo":
        if not shutil.which("skopeo"):
            pytest.skip("skopeo is not on the PATH")
        copied = f"{registry.host}/elsewhere/tiny:v1"
        plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
        words = ["skopeo", "--insecure-policy", "copy", *plain]
        subprocess.run([*words, f"docker://{name}", f"docker://{copied}"], check=True)
        name = copied
    client = oras.client.OrasClient(hostname=registry.host, insecure=True)
    client.pull(target=name, outdir=str(tmp_path / "pulled"))
    assert upstream_verifies(tmp_path / "pulled", public_key) == (True, "Verification succeeded\n")
    touched = CHANGES[0](tmp_path / "pulled", random.Random(2))
    accepted, said = upstream_verifies(tmp_path / "pulled", public_key)
    assert not accepted and touched in said


@pytest.mark.parametrize("place", ["release", "release/lora", "copy", "hf:me/tiny-LoRA", "oci:"])
def test_a_signature_is_checked_wherever_it_is(
    place: str, command: Uploader, release: Path, registry: LoopbackRegistry | None, keys: Path
) -> None:
    if place == "oci:":
        if registry is None:
            pytest.skip("docker-registry is not on the PATH")
        place = f"oci:{registry.host}/me/tiny:v1"
    result = command("verify-signature", place, "--key", "keys/signing.pub.pem", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["problems"] == [] and found["files"] > 5
    assert found["signed_by"].startswith("the key ")


def test_a_signature_of_somebody_else_is_refused(
    command: Uploader, release: Path, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from signing_tools import public_pem_of

    other = tmp_path / "other.pub.pem"
    other.write_bytes(public_pem_of(ec.generate_private_key(ec.SECP256R1())))
    result = command("verify-signature", "release", "--key", other)
    assert result.returncode == 7
    assert "was not signed with the key" in result.stderr
    asked = command("verify-signature", "release")
    assert asked.returncode == 2 and "whose signature do you trust" in asked.stderr


def test_what_changed_at_the_hub_is_told_from_afar(
    command: Uploader, adapter: Path, release: Path, signed_hub: Any
) -> None:
    from huggingface_hub import HfApi

    words = ["run", adapter, "--plugins", "lora", "--output", "touched", "--yes", *SIGN]
    assert command(*words, "--to", "hf:me/touched-LoRA").returncode == 0
    api = HfApi(endpoint=signed_hub.url, token=signed_hub.token("me"))
    for name in ("README.md", "notes.txt", "SHA256SUMS"):
        api.upload_file(path_or_fileobj=b"another", path_in_repo=name, repo_id="me/touched-LoRA")
    words = ["verify-signature", "hf:me/touched-LoRA", "--key", "keys/signing.pub.pem", "--json"]
    result = command(*words)
    assert result.returncode == 7
    assert [problem["path"] for problem in json.loads(result.stdout)["problems"]] == [
        "README.md", "SHA256SUMS", "notes.txt",
    ]  # fmt: skip


def test_a_second_run_signs_and_sends_nothing(
    command: Uploader, adapter: Path, release: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in release.rglob("model.sig")}
    words = ["run", adapter, "--plugins", "lora", "--output", "release", "--yes", *SIGN]
    result = command(*words, "--to", "hf:me/tiny-LoRA", "--to", "dir:copy", "--json")
    assert {s["status"] for s in json.loads(result.stdout)["steps"]} == {"kept"}
    assert before == {p: p.stat().st_mtime_ns for p in release.rglob("model.sig")}


def test_nobody_learns_the_key(release: Path, keys: Path) -> None:
    pem = (keys / "signing.pem").read_bytes()
    told = (pem.split(b"\n")[1], hashlib.sha256(pem).hexdigest().encode())
    for path in release.parent.rglob("*"):
        if path.is_file() and path.parent != keys:
            assert not [part for part in told if part in path.read_bytes()], path
    # Where it lies is known to the records of the run that signed, and goes nowhere.
    for path in (
        p for p in release.parent.rglob("*") if p.is_file() and ".uploader" not in p.parts
    ):
        assert b"signing.pem" not in path.read_bytes(), path


def test_a_folder_of_an_earlier_run_is_in_no_signature_of_the_release(
    command: Uploader, adapter: Path, release: Path
) -> None:
    shutil.copytree(release, command.cwd / "again")
    (command.cwd / "again" / "gguf").mkdir()
    (command.cwd / "again" / "model.sig").unlink()  # so that it is to be signed
    result = command("plan", adapter, "--plugins", "lora", "--output", "again", *SIGN, "--json")
    said = [found["what"] for found in json.loads(result.stdout)["findings"]]
    assert [what for what in said if what.startswith("gguf/ in ")], said
