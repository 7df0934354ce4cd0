"""Who signs: a key, its certificate, an identity; and which of them are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from signed_folders import SIGN
from signing_tools import upstream_verifies
from uploader_command import Uploader


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
