"""Who signs: a key, a key with certificates, or the identity of a CI job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from uploader_core.plugin import RefusedError
from uploader_provenance.signing.certificates import chain_of, in_der, load_certificates
from uploader_provenance.signing.envelope import to_sign, write_bundle
from uploader_provenance.signing.keys import MAKE, load_private_key, name_of, read_pem, sign
from uploader_provenance.signing.settings import ENVIRONMENT, PASSWORD, PRIVATE_KEY, Settings

Signer = Callable[[bytes], str]
"""Takes a statement, returns the text of its ``model.sig``."""


@contextlib.contextmanager
def signer_of(settings: Settings, secrets: Mapping[str, str]) -> Iterator[Signer]:
    """Yield what signs statements as the settings say.

    Args:
        settings: With a key, or keyless.
        secrets: The variables of the step.

    Raises:
        RefusedError: The key or its certificates are not fit.
        AuthError: Keyless, and this job has no identity.
        TemporaryError: Keyless, and Sigstore cannot be reached.
    """
    if settings.keyless:
        from uploader_provenance.signing.keyless import keyless_signer

        with keyless_signer() as signer:
            yield signer
        return
    key = read_key(settings, secrets)
    public = key.public_key()
    chain = in_der(chain_of(public, read_certificates(settings))) if settings.certificates else ()

    def signed(payload: bytes) -> str:
        signature = sign(key, to_sign(payload))
        return write_bundle(payload, signature, key=name_of(public), certificates=chain)

    yield signed


def read_key(settings: Settings, secrets: Mapping[str, str]) -> ec.EllipticCurvePrivateKey:
    """Return the key that the settings name.

    Raises:
        RefusedError: It is not there, cannot be read or is not fit.
    """
    named = settings.key or ENVIRONMENT
    if named == ENVIRONMENT:
        pem = secrets.get(PRIVATE_KEY, "").encode()
        where = f"the variable {PRIVATE_KEY}"
        if not pem.strip():
            raise RefusedError(
                f"--provenance-key {ENVIRONMENT}: {where} is not set",
                owner="option --provenance-key",
                safe="nothing was signed",
                next=f"set it to a private key in PEM, such as this makes: {MAKE}",
            )
    else:
        pem, where = read_pem(Path(named), "--provenance-key", MAKE), named
    return load_private_key(pem, where, secrets.get(PASSWORD, ""))


def read_certificates(settings: Settings) -> list[x509.Certificate]:
    """Return the certificates that the settings name.

    Raises:
        RefusedError: A file is not there, or holds none.
    """
    option = "--provenance-certificates"
    return [
        one
        for path in settings.certificates
        for one in load_certificates(read_pem(path, option, f"{option} FILE"), str(path))
    ]
