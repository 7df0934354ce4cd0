"""Checking a signature: who made it, and whether everything is what was signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from uploader_core.plugin import IntegrityError, UsageError
from uploader_provenance.signing.certificates import load_certificates, vouched_key
from uploader_provenance.signing.envelope import Bundle, read_bundle, to_sign
from uploader_provenance.signing.keys import is_signed, load_public_key, name_of, read_pem
from uploader_provenance.signing.statement import Signed, read_statement


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whom a signature is to be of; one of the three.

    Attributes:
        key: File of a public key in PEM.
        roots: Files of certificates in PEM, one of which has to vouch for the signature's own.
        identity: Of a job of a CI, as Sigstore's certificate has it.
        issuer: Whose word the identity is.
    """

    key: Path | None = None
    roots: tuple[Path, ...] = ()
    identity: str = ""
    issuer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A signature that is of whom it should be.

    Attributes:
        by: Whom, for people.
        signed: What was signed.
    """

    by: str
    signed: Signed


def check_signature(text: bytes, trust: Trust, where: str) -> Checked:
    """Return what a ``model.sig`` signs, if it is of somebody who is trusted.

    Args:
        text: Its content.
        trust: Who is.
        where: It was found, for messages.

    Raises:
        IntegrityError: It is not of them, or not readable.
        UsageError: Nobody is trusted, or it is not clear who.
        RefusedError: A key or certificate that was given is not fit, or not there.
        TemporaryError: Sigstore cannot be reached, for an identity.
    """
    _refuse_unclear(trust)
    bundle = read_bundle(text, where)
    if trust.identity:
        from uploader_provenance.signing.keyless import check_identity

        payload = check_identity(text, trust.identity, trust.issuer, where)
        by = trust.identity
    elif trust.key is not None or trust.roots:
        by, payload = _by_key(bundle, trust, where), bundle.payload
    else:
        raise UsageError(
            f"{where} is {describe(bundle)}; whose signature do you trust?",
            owner="uploader verify-signature",
            safe="nothing was changed",
            next="--key PUBLIC.pem, --certificates ROOT.pem, or --identity with --issuer",
        )
    return Checked(by=by, signed=read_statement(payload, where))


def _refuse_unclear(trust: Trust) -> None:
    """Refuse to check less than what was asked for.

    Raises:
        UsageError: Several are named, or an identity without whose word it is.
    """
    given = {"--key": trust.key, "--certificates": trust.roots, "--identity": trust.identity}
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise UsageError(
            f"{' and '.join(names)} are given, and a signature is of one",
            owner="uploader verify-signature",
            safe="nothing was changed",
            next="give one of them, and run it again for another",
        )
    if bool(trust.identity) != bool(trust.issuer):
        raise UsageError(
            "--identity and --issuer go together: what one issuer says of a job, another may say "
            "of somebody else",
            owner="uploader verify-signature",
            safe="nothing was changed",
            next="--identity WHO --issuer https://token.actions.githubusercontent.com (GitHub's)",
        )


def describe(bundle: Bundle) -> str:
    """Say of a signature by what it was made, which nothing proves yet."""
    if bundle.keyless:
        return "signed with the identity of a CI job"
    if bundle.certificates:
        return "signed with a certificate"
    return f"signed with the key {bundle.key[:16] or 'of nobody in particular'}"


def _by_key(bundle: Bundle, trust: Trust, where: str) -> str:
    """Return whose key made a signature."""
    if trust.key is not None:
        key = load_public_key(read_pem(trust.key, "--key", "--key PUBLIC.pem"), str(trust.key))
        by = f"the key {name_of(key)[:16]}"
    else:
        if not bundle.certificates:
            raise _untrusted(f"{where} carries no certificate: it is {describe(bundle)}", where)
        key = vouched_key(bundle.certificates, _roots(trust.roots), where)
        own = x509.load_der_x509_certificate(bundle.certificates[0])
        by = own.subject.rfc4514_string()
    if not is_signed(key, bundle.signature, to_sign(bundle.payload)):
        raise _untrusted(f"{where} was not signed with {by}: it is {describe(bundle)}", where)
    return by


def _roots(paths: Sequence[Path]) -> list[x509.Certificate]:
    option = "--certificates"
    return [
        one
        for path in paths
        for one in load_certificates(read_pem(path, option, f"{option} ROOT.pem"), str(path))
    ]


def _untrusted(what: str, owner: str) -> IntegrityError:
    return IntegrityError(
        what,
        owner=owner,
        safe="nothing was changed",
        next="do not use it; ask whoever published it which key is theirs, by another way",
    )
