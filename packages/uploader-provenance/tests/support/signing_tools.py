"""Keys, folders, certificates, and OpenSSF's own verifier, which has the last word."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


def pem_of(key: object, password: str = "") -> bytes:
    """Return a private key as ``openssl`` writes it."""
    return key.private_bytes(
        PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption(),
    )


def public_pem_of(key: object) -> bytes:
    """Return the public half of a private key."""
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def digests_in(folder: Path) -> dict[str, str]:
    """Return the digests that a release has of its files already."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "model.sig"
    }


def upstream_verifies(folder: Path, public_key: Path, *more: str) -> tuple[bool, str]:
    """Run ``model_signing verify key FOLDER`` with what it asks for, and nothing more by itself."""
    return _upstream("key", folder, "--public_key", str(public_key), *more)


def upstream_trusts(folder: Path, *roots: Path) -> tuple[bool, str]:
    """Run ``model_signing verify certificate FOLDER``."""
    given = [part for root in roots for part in ("--certificate_chain", str(root))]
    return _upstream("certificate", folder, *given)


def _upstream(method: str, folder: Path, *options: str) -> tuple[bool, str]:
    from model_signing._cli import main

    words = ["verify", method, str(folder), "--signature", str(folder / "model.sig"), *options]
    result = CliRunner().invoke(main, words)
    return result.exit_code == 0, result.output


class Authority:
    """An authority that issues certificates for keys that sign."""

    def __init__(self, name: str = "Root", issuer: Authority | None = None, **more: object) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (issuer or self).issue(self.key, name, authority=True, **more)

    def issue(
        self,
        key: object,
        name: str = "Release",
        *,
        authority: bool = False,
        signs: bool = True,
        began: int = -1,
        days: int = 30,
    ) -> x509.Certificate:
        """Issue a certificate that begins and lasts as many days as said."""
        issuer = getattr(self, "certificate", None)
        start = datetime.now(timezone.utc) + timedelta(days=began)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(issuer.subject if issuer else _named(name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=signs and not authority,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    **dict.fromkeys(
                        (
                            "content_commitment",
                            "key_encipherment",
                            "data_encipherment",
                            "key_agreement",
                            "encipher_only",
                            "decipher_only",
                        ),
                        False,
                    ),
                ),
                critical=True,
            )
            .sign(self.key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
