"""Certificates of a signing key: which of them is its own, and who vouches for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from uploader_core.plugin import Finding, IntegrityError, RefusedError
from uploader_provenance.signing.keys import signs_models

_E = TypeVar("_E", bound=x509.ExtensionType)

_MADE_WITH = "keyUsage=critical,digitalSignature"
_LONGEST = 8
"""Certificates of a chain; nobody has more."""


def load_certificates(pem: bytes, where: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM.

    Raises:
        RefusedError: There are none, or they cannot be read.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        for one in found:  # both are parsed when they are asked for
            one.public_key(), one.extensions
        return found
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise RefusedError(
            f"{where} holds no certificates in PEM that can be read",
            owner=where,
            safe="nothing was signed, and nothing changed",
            next="openssl x509 -in certificate.der -inform der -out certificate.pem",
        ) from None


def chain_of(
    key: ec.EllipticCurvePublicKey, given: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the certificate of a key, then that of who vouches for it, and so on.

    Args:
        key: To sign with.
        given: In any order.

    Raises:
        RefusedError: None is of the key.
    """
    left = [*given]
    chain = [one for one in left if one.public_key() == key][:1]
    if not chain:
        raise RefusedError(
            "none of the certificates is of the key that signs",
            owner="--provenance-certificates",
            safe="nothing was signed",
            next="give the certificate that was issued for this key, then those of its issuers",
        )
    while found := next((c for c in left if c not in chain and _vouches(c, chain[-1])), None):
        chain.append(found)
    return chain


def examine(chain: Sequence[x509.Certificate], now: datetime) -> Iterable[Finding]:
    """Yield what a verifier would object to in a chain of :func:`chain_of`.

    Args:
        chain: To sign with.
        now: When it will be.
    """
    own = chain[0]
    name = own.subject.rfc4514_string() or "the certificate"
    if not may_sign(own):
        yield Finding(
            level="error",
            what=f"{name} was not issued for signatures, and the verifier of models says no to it",
            next=f"have one issued with {_MADE_WITH}",
        )
    for one in chain:
        of = one.subject.rfc4514_string() or "a certificate"
        if one.not_valid_after_utc < now:
            yield Finding(
                level="error",
                what=f"{of} ended on {one.not_valid_after_utc:%Y-%m-%d}",
                next="give one that is valid: --provenance-certificates",
            )
        if one.not_valid_before_utc > now:
            yield Finding(
                level="error",
                what=f"{of} is not valid before {one.not_valid_before_utc:%Y-%m-%d}",
                next="give one that is valid, or set the clock of this machine",
            )


def in_der(chain: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    """Return certificates as a signature carries them."""
    return tuple(one.public_bytes(Encoding.DER) for one in chain)


def vouched_key(
    chain: Sequence[bytes], roots: Sequence[x509.Certificate], where: str
) -> ec.EllipticCurvePublicKey:
    """Return the key of a signature's first certificate, if a root vouches for it.

    What a signature carries says when its own certificate began, and nothing says when it was
    made: as with the verifier of OpenSSF, everything has to be valid at that beginning.

    Args:
        chain: Certificates of a signature in DER.
        roots: That are trusted.
        where: The signature was found, for messages.

    Raises:
        IntegrityError: No root does, or the certificate is not for signatures.
    """
    try:
        own, *others = [x509.load_der_x509_certificate(der) for der in chain[:_LONGEST]]
        key, name = own.public_key(), own.subject.rfc4514_string()
        if not signs_models(key) or not may_sign(own):
            raise _distrusted(f"{where}: the certificate of {name} is not for signatures", where)
        at = own.not_valid_before_utc
        if own not in roots and not _leads_to(own, others, roots, at):
            raise _distrusted(f"{where}: none of the given roots vouches for {name}", where)
        return key
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _distrusted(f"{where} carries what is no certificate: {error}", where) from error


def may_sign(certificate: x509.Certificate) -> bool:
    """Return whether a certificate was issued for signatures, as the verifier of OpenSSF asks."""
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and usage.digital_signature:
        return True
    uses = _extension(certificate, x509.ExtendedKeyUsage)
    return uses is not None and ExtendedKeyUsageOID.CODE_SIGNING in uses


def _leads_to(
    one: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    below: int = 0,
) -> bool:
    """Return whether a way of issuers goes from a certificate to a root.

    Args:
        below: Issuers between this certificate and the one that signs.
    """
    if not _is_valid(one, at):
        return False
    issuers = [c for c in (*roots, *others) if c != one and _vouches(c, one, below)]
    return any(
        _is_valid(issuer, at)
        if issuer in roots
        else below < _LONGEST
        and _leads_to(issuer, [c for c in others if c != issuer], roots, at, below + 1)
        for issuer in issuers
    )


def _is_valid(one: x509.Certificate, at: datetime) -> bool:
    return one.not_valid_before_utc <= at <= one.not_valid_after_utc


def _vouches(issuer: x509.Certificate, one: x509.Certificate, below: int = 0) -> bool:
    """Return whether a certificate is of an authority and signed another one."""
    basic = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        return False
    if basic.path_length is not None and below > basic.path_length:
        return False
    if _extension(issuer, x509.NameConstraints) is not None:
        return False  # which are not looked at here
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _distrusted(what: str, owner: str) -> IntegrityError:
    return IntegrityError(
        what,
        owner=owner,
        safe="nothing was changed",
        next="ask whoever published it for the certificate of their root, by another way",
    )
