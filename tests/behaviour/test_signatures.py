"""Signed releases: OpenSSF's own verifier takes them wherever they went, unless touched."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from make_fine_tune import make_fine_tune
from signing_tools import upstream_verifies
from tampering import CHANGES
from uploader_command import Uploader
from uploader_oci.loopback import LoopbackRegistry, is_available, loopback_registry

SIGN = ("--provenance-key", "keys/signing.pem")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key pair, and nothing else in its folder."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from signing_tools import pem_of, public_pem_of

    folder = tmp_path_factory.mktemp("signed") / "keys"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "signing.pem").write_bytes(pem_of(key))
    (folder / "signing.pem").chmod(0o600)
    (folder / "signing.pub.pem").write_bytes(public_pem_of(key))
    return folder


@pytest.fixture(scope="module")
def public_key(keys: Path) -> Path:
    return keys / "signing.pub.pem"


@pytest.fixture(scope="module")
def command(keys: Path) -> Uploader:
    """The command with the documents of this distribution, in the folder of the keys' folder."""
    uploader = Uploader(keys.parent)
    uploader.environment["UPLOADER_DISABLE"] = ""
    return uploader


@pytest.fixture(scope="module")
def adapter(pristine: Path, keys: Path) -> Path:
    shutil.copytree(pristine, keys.parent / "fine-tune")
    return keys.parent / "fine-tune" / "run" / "final_model"


@pytest.fixture(scope="module")
def signed_hub(command: Uploader, keys: Path) -> Iterator[Any]:
    from loopback_hub import LoopbackHub

    with LoopbackHub(keys.parent / "hub") as server:
        command.environment |= {
            "HF_ENDPOINT": server.url,
            "HF_TOKEN": server.token("me"),
            "HF_HOME": str(keys.parent / "hf-home"),
        }
        yield server


@pytest.fixture(scope="module")
def registry(command: Uploader, keys: Path) -> Iterator[LoopbackRegistry | None]:
    """A registry, where there is the program."""
    if not is_available():
        yield None
        return
    with loopback_registry(auth="none") as server:
        yield server


@pytest.fixture(scope="module")
def release(
    command: Uploader, adapter: Path, signed_hub: Any, registry: LoopbackRegistry | None
) -> Path:
    """A signed release, in its folder and at three destinations."""
    to = ["--to", "hf:me/tiny-LoRA", "--to", "dir:copy"]
    if registry is not None:
        to += ["--to", f"oci:{registry.host}/me/tiny:v1"]
    result = command(
        "run", adapter, "--plugins", "lora", "--output", "release", "--yes", *SIGN, *to
    )
    assert result.returncode == 0, result.stderr
    return command.cwd / "release"


def moved(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a folder elsewhere."""
    place = tmp_path / "moved"
    shutil.copytree(folder, place, symlinks=True)
    return place


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


def test_the_key_and_its_password_come_from_the_environment(
    command: Uploader, adapter: Path, keys: Path, public_key: Path
) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from signing_tools import pem_of

    key = load_pem_private_key((keys / "signing.pem").read_bytes(), None)
    words = ["run", adapter, "--plugins", "lora", "--output", "by-env", "--yes"]
    given = {
        "UPLOADER_SIGNING_PRIVATE_KEY": pem_of(key, "open sesame").decode(),
        "UPLOADER_SIGNING_PASSWORD": "open sesame",
    }
    uploader = Uploader(command.cwd)
    uploader.environment |= {**command.environment, **given}
    result = uploader(*words, "--provenance-key", "env")
    assert result.returncode == 0, result.stderr
    folder = command.cwd / "by-env"
    assert upstream_verifies(folder, public_key)[0]
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert b"open sesame" not in path.read_bytes(), path


def test_a_certificate_is_checked_against_its_authority(
    command: Uploader, adapter: Path, keys: Path, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from signing_tools import PEM, Authority, upstream_trusts

    key = load_pem_private_key((keys / "signing.pem").read_bytes(), None)
    root = Authority()
    between = Authority("Between", root)
    given = between.certificate.public_bytes(PEM) + between.issue(key).public_bytes(PEM)
    (tmp_path / "chain.pem").write_bytes(given)
    (tmp_path / "root.pem").write_bytes(root.certificate.public_bytes(PEM))
    words = ["run", adapter, "--plugins", "lora", "--output", "certified", "--yes", *SIGN]
    result = command(*words, "--provenance-certificates", tmp_path / "chain.pem")
    assert result.returncode == 0, result.stderr
    assert upstream_trusts(command.cwd / "certified", tmp_path / "root.pem")[0]
    words = ["verify-signature", "certified", "--certificates", tmp_path / "root.pem"]
    assert "signed by CN=Release" in command(*words).stdout


def test_a_key_that_is_not_fit_is_refused_before_anything_is_made(
    command: Uploader, adapter: Path, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from signing_tools import pem_of

    (tmp_path / "rsa.pem").write_bytes(pem_of(rsa.generate_private_key(65537, 2048)))
    words = ["run", adapter, "--plugins", "lora", "--output", "refused", "--yes"]
    result = command(*words, "--provenance-key", tmp_path / "rsa.pem")
    assert result.returncode == 4, result.stderr
    assert "a key of the kind RSA" in result.stderr and "openssl ecparam" in result.stderr
    assert not (command.cwd / "refused" / "lora").exists()


def test_a_key_in_place_of_a_file_is_shown_nowhere(
    command: Uploader, adapter: Path, keys: Path, tmp_path: Path
) -> None:
    text = (keys / "signing.pem").read_text()
    options = ("--plugins", "lora", "--output", tmp_path / "out", "--provenance-key", text)
    for verb in ("plan", "run"):
        result = command(verb, adapter, *options, "--json", *(["--yes"] if verb == "run" else []))
        assert result.returncode == 4 and "was given the key itself" in result.stderr
        assert text.splitlines()[1] not in result.stdout + result.stderr
    assert not (tmp_path / "out").exists()


def test_without_an_identity_nothing_is_signed_keyless(
    command: Uploader, adapter: Path, keys: Path
) -> None:
    uploader = Uploader(command.cwd)
    uploader.environment |= {**command.environment, "GITHUB_ACTIONS": "true"}
    words = ["plan", adapter, "--plugins", "lora", "--provenance-keyless"]
    refused = uploader(*words)
    assert refused.returncode == 4, refused.stderr
    assert "nothing here can prove who this is" in refused.stderr
    assert "id-token: write" in refused.stderr
    both = uploader(*words, *SIGN)
    assert both.returncode == 2, both.stderr
    assert "--provenance-keyless signs with no key of yours" in both.stderr


@pytest.mark.skipif(os.name == "nt", reason="modes of files mean nothing here")
def test_a_key_that_others_can_read_is_warned_of(
    command: Uploader, adapter: Path, keys: Path, tmp_path: Path
) -> None:
    shutil.copy(keys / "signing.pem", tmp_path / "open.pem")
    (tmp_path / "open.pem").chmod(0o644)
    words = ["plan", adapter, "--plugins", "lora", "--provenance-key", tmp_path / "open.pem"]
    result = command(*words)
    assert "can be read by other users of this machine" in result.stdout + result.stderr


RELEASES = int(os.environ.get("UPLOADER_SIGNATURES", "100"))
KINDS = ("lora", "merged-16bit", "gguf", "compressed")
SHAPES = (
    {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1, "rank": 4},
    {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 2, "rank": 8},
    {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 1, "rank": 16},
    {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "rank": 2},
    {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "rank": 3},
)


@pytest.fixture(scope="module")
def many(command: Uploader, keys: Path) -> list[Path]:
    """Release folders of many fine-tunes, each in one of four kinds, of one batch."""
    lines = ["[defaults.gguf]", 'quants = ["Q8_0"]', "[defaults.provenance]",
             f"key = {json.dumps(str(keys / 'signing.pem'))}"]  # fmt: skip
    folders = []
    for number in range(RELEASES):
        shape = SHAPES[number // len(KINDS) % len(SHAPES)]
        seed = number // len(KINDS)
        tune = keys.parent / "tunes" / str(seed)
        if not tune.exists():
            make_fine_tune(tune, seed=seed, **shape)
        folders.append(keys.parent / "many" / f"{number:03}")
        lines += ["[[run]]", f"source = {json.dumps(str(tune / 'run' / 'final_model'))}",
                  f"name = 'tune-{number:03}'", f"output = {json.dumps(str(folders[-1]))}",
                  f"plugins = [{json.dumps(KINDS[number % len(KINDS)])}]"]  # fmt: skip
    runs = keys.parent / "RUNS.toml"
    runs.write_text("\n".join(lines), "utf-8")
    result = command("batch", runs, "--yes")
    assert result.returncode == 0, result.stdout + result.stderr
    return folders


def artifact_in(release: Path) -> Path:
    """Return the one artifact's folder of a release."""
    (signature,) = release.glob("*/model.sig")
    return signature.parent


@pytest.mark.slow
def test_upstream_accepts_all_releases_of_four_kinds(many: list[Path], public_key: Path) -> None:
    folders = [folder for release in many for folder in (release, artifact_in(release))]
    accepted = [upstream_verifies(folder, public_key)[0] for folder in folders]
    assert accepted.count(True) == 2 * RELEASES


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("of_artifact", [False, True])
def test_upstream_rejects_all_that_were_touched(
    change: Callable[..., str],
    of_artifact: bool,
    many: list[Path],
    public_key: Path,
    tmp_path: Path,
) -> None:
    rejected = 0
    for number, release in enumerate(many):
        source = artifact_in(release) if of_artifact else release
        folder = moved(source, tmp_path / str(number))
        name = change(folder, random.Random(number))
        accepted, said = upstream_verifies(folder, public_key)
        rejected += not accepted and name in said
        shutil.rmtree(tmp_path / str(number))
    assert rejected == RELEASES


@pytest.mark.slow
def test_four_kinds_are_what_was_signed_after_hub_and_registry(
    command: Uploader,
    adapter: Path,
    signed_hub: Any,
    registry: LoopbackRegistry | None,
    public_key: Path,
    tmp_path: Path,
) -> None:
    from huggingface_hub import HfApi, snapshot_download

    to = ["--to", "hf:me/four"]
    to += [] if registry is None else ["--to", f"oci:{registry.host}/me/four:v1"]
    words = ["run", adapter, "--plugins", ",".join(KINDS), "--gguf-quants", "Q8_0", "--yes"]
    result = command(*words, "--output", "four", *SIGN, *to)
    assert result.returncode == 0, result.stderr
    token = signed_hub.token("me")
    api = HfApi(endpoint=signed_hub.url, token=token)
    pulled = []
    for number, repo in enumerate(m.id for m in api.list_models(author="me") if "four" in m.id):
        pulled.append(tmp_path / f"hub-{number}")
        snapshot_download(repo, local_dir=pulled[-1], endpoint=signed_hub.url, token=token)
    assert len(pulled) == len(KINDS)
    if registry is not None:
        import oras.client

        client = oras.client.OrasClient(hostname=registry.host, insecure=True)
        tags = client.get_tags(f"{registry.host}/me/four")
        for tag in (tag for tag in tags if tag.startswith("v1")):
            pulled.append(tmp_path / f"registry-{tag}")
            client.pull(target=f"{registry.host}/me/four:{tag}", outdir=str(pulled[-1]))
        assert len(pulled) == 2 * len(KINDS)
    for number, folder in enumerate(pulled):
        assert upstream_verifies(folder, public_key)[0], folder
        for change in CHANGES:
            touched = moved(folder, tmp_path / f"{number}-{change.__name__}")
            name = change(touched, random.Random(number))
            accepted, said = upstream_verifies(touched, public_key)
            assert not accepted and name in said, (folder, change)
