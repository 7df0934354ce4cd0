"""Which keys are taken, and what is said of the others; never what is in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from signing_tools import pem_of, public_pem_of
from uploader_core.plugin import RefusedError
from uploader_provenance.signing.keys import MAKE, load_private_key, load_public_key
from uploader_provenance.signing.settings import Settings, has_key
from uploader_provenance.signing.signer import read_key


def refusal(pem: bytes, password: str = "") -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        load_private_key(pem, "signing.pem", password)
    assert caught.value.owner == "signing.pem" and caught.value.safe == "nothing was signed"
    return caught.value


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("RSA", lambda: rsa.generate_private_key(65537, 2048)),
        ("Ed25519", ed25519.Ed25519PrivateKey.generate),
        ("DSA", lambda: dsa.generate_private_key(1024)),
    ],
)
def test_other_kinds_are_refused_by_name_with_the_command_for_a_right_one(
    kind: str, key: Any
) -> None:
    error = refusal(pem_of(key()))
    assert error.what.startswith(f"signing.pem is a key of the kind {kind}, ")
    assert error.next == MAKE


def test_another_curve_is_refused(tmp_path: Path) -> None:
    error = refusal(pem_of(ec.generate_private_key(ec.SECP256K1())))
    assert "on the curve secp256k1" in error.what and error.next == MAKE


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here")
def test_the_command_that_is_named_makes_a_key_that_is_taken(tmp_path: Path) -> None:
    subprocess.run(MAKE.split(), cwd=tmp_path, check=True)
    assert load_private_key((tmp_path / "signing.pem").read_bytes(), "it").curve.key_size == 256


def test_an_encrypted_key_asks_for_its_password() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    error = refusal(pem_of(key, "open sesame"))
    assert error.next == "set UPLOADER_SIGNING_PASSWORD to its password"
    wrong = refusal(pem_of(key, "open sesame"), "open barley")
    assert "the password is of another one" in wrong.what
    assert "barley" not in str(wrong.to_json())
    assert load_private_key(pem_of(key, "open sesame"), "it", "open sesame")


def test_a_password_that_is_not_needed_does_no_harm(key: Any) -> None:
    assert load_private_key(pem_of(key), "it", "for another one")


def test_what_is_no_key_is_not_quoted() -> None:
    error = refusal(b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAsecret\n-----END PRIVATE KEY-----\n")
    assert "no private key that can be read" in error.what
    assert "secret" not in str(error.to_json())


def test_the_halves_are_not_mixed_up(key: Any) -> None:
    assert "is a public key, which signs nothing" in refusal(public_pem_of(key)).what
    with pytest.raises(RefusedError, match="which is not needed to check"):
        load_public_key(pem_of(key), "it")
    with pytest.raises(RefusedError, match="kind RSA"):
        load_public_key(public_pem_of(rsa.generate_private_key(65537, 2048)), "it")


def test_the_key_itself_in_place_of_a_file_is_refused_and_not_repeated(key: Any) -> None:
    text = pem_of(key).decode()
    with pytest.raises(RefusedError, match="was given the key itself") as caught:
        has_key(Settings(key=text))
    assert text.splitlines()[1] not in str(caught.value.to_json())


@pytest.mark.parametrize("name", [".", "no-such-file.pem", "~no-such-user/key.pem", "a\0b"])
def test_what_is_no_file_is_refused_by_name(name: str) -> None:
    with pytest.raises(RefusedError, match="--provenance-key .* cannot be read") as caught:
        read_key(Settings(key=name), {})
    assert caught.value.owner == "option --provenance-key" and caught.value.next == MAKE
