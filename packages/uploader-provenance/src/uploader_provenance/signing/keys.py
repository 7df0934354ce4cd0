"""Keys to sign with and to check with: elliptic curves, as the verifier of OpenSSF takes them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeGuard

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from uploader_core.plugin import RefusedError
from uploader_provenance.signing.settings import PASSWORD

MAKE = "openssl ecparam -name prime256v1 -genkey -noout -out signing.pem"
"""A command that makes a key which is taken."""

_PUBLIC = "openssl ec -in signing.pem -pubout -out signing.pub.pem"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def load_private_key(pem: bytes, where: str, password: str = "") -> ec.EllipticCurvePrivateKey:
    """Return the key of a PEM.

    Args:
        pem: Content.
        where: It comes from, for messages, which never say what is in it.
        password: Of an encrypted one. For one that is not encrypted it does not matter.

    Raises:
        RefusedError: It cannot be read, or not be signed with.
    """
    if b"PUBLIC KEY-----" in pem:
        raise _refused(
            f"{where} is a public key, which signs nothing", where, "give its other half"
        )
    try:
        try:
            key = load_pem_private_key(pem, password.encode() if password else None)
        except TypeError:
            if not password:
                raise _refused(
                    f"{where} is encrypted", where, f"set {PASSWORD} to its password"
                ) from None
            key = load_pem_private_key(pem, None)
    except (ValueError, UnsupportedAlgorithm):
        # What the library says of it may quote the file.
        raise _refused(
            f"{where} holds no private key that can be read"
            + (", or the password is of another one" if password else ""),
            where,
            f"a key in PEM is needed: {MAKE}"
            + (f"; or set {PASSWORD} to its password" if password else ""),
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unfit(key, where)
    _check_curve(key.curve, where)
    return key


def load_public_key(pem: bytes, where: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a PEM.

    Args:
        pem: Content.
        where: It comes from, for messages.

    Raises:
        RefusedError: It cannot be read, or is none with which releases are signed.
    """
    if b"PRIVATE KEY-----" in pem:
        raise _refused(f"{where} is a private key, which is not needed to check", where, _PUBLIC)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _refused(f"{where} holds no public key in PEM", where, _PUBLIC) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _unfit(key, where)
    _check_curve(key.curve, where)
    return key


def signs_models(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    """Return whether a public key is of those with which models are signed."""
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES


def read_pem(path: Path, option: str, next: str) -> bytes:
    """Return the content of a file that an option names.

    Raises:
        RefusedError: It cannot be read.
    """
    try:
        return path.expanduser().read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a name that nothing has
        why = error.strerror if isinstance(error, OSError) else error
        raise _refused(
            f"{option} {path} cannot be read: {why}", f"option {option}", next
        ) from error


def name_of(key: ec.EllipticCurvePublicKey) -> str:
    """Return the digest of a public key, by which a signature names it."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign; the same data give the same signature (RFC 6979), where OpenSSL can do that."""
    algorithm = _HASHES[key.curve.name]
    try:
        return key.sign(data, ec.ECDSA(algorithm, deterministic_signing=True))
    except UnsupportedAlgorithm:  # before OpenSSL 3.2
        return key.sign(data, ec.ECDSA(algorithm))


def is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Return whether a signature over some data is of that key."""
    try:
        key.verify(signature, data, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def _check_curve(curve: ec.EllipticCurve, where: str) -> None:
    if curve.name not in _HASHES:
        raise _refused(
            f"{where} is on the curve {curve.name}, and signatures of models are made on P-256, "
            "P-384 or P-521",
            where,
            MAKE,
        )


def _unfit(key: object, where: str) -> RefusedError:
    kind = type(key).__name__.lstrip("_").removesuffix("PrivateKey").removesuffix("PublicKey")
    return _refused(
        f"{where} is a key of the kind {kind}, and the verifier of models takes elliptic curves "
        "only: P-256, P-384 or P-521",
        where,
        MAKE,
    )


def _refused(what: str, owner: str, next: str) -> RefusedError:
    return RefusedError(what, owner=owner, safe="nothing was signed", next=next)
