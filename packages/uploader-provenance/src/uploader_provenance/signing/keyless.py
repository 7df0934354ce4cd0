"""Signing with the identity of a CI job, by Sigstore: a certificate of minutes, a public log.

A job's identity is a token that its CI makes on demand. Sigstore's authority gives a certificate
for it and a key that nobody keeps, and the log says when it was used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    AuthError,
    Finding,
    IntegrityError,
    TemporaryError,
    UploaderError,
    UsageError,
    keep_secret,
    without_secrets,
)
from uploader_provenance.signing.settings import IDENTITY

_PRODUCT = Path("/sys/class/dmi/id/product_name")
_INSTALL = 'pip install "uploader-provenance[keyless]"'
_GITHUB = "give the job `permissions: id-token: write`; a pull request from a fork gets none"
_GITLAB = "give the job `id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}`"


def examine(environment: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[Finding]:
    """Yield why this process could not sign without a key.

    Args:
        environment: Of the process, by which it knows the CI that it runs in.
        secrets: Those of :data:`~uploader_provenance.signing.settings.IDENTITY` that are set.
    """
    if find_spec("sigstore") is None:
        yield Finding(
            level="error", what="--provenance-keyless needs Sigstore's client", next=_INSTALL
        )
    if environment.get("GITHUB_ACTIONS"):
        found = IDENTITY[0] in secrets and IDENTITY[1] in secrets
        told = _GITHUB
    elif environment.get("GITLAB_CI"):
        found, told = IDENTITY[2] in secrets, _GITLAB
    elif environment.get("BUILDKITE"):
        found, told = IDENTITY[3] in secrets, f"{IDENTITY[3]} is not set, by which its agent asks"
    else:
        # CircleCI has a program for it, Google's machines a server.
        found = bool(environment.get("CIRCLECI")) or _is_google()
        told = "run it in a job of a CI with identities, or sign with a key: --provenance-key FILE"
    if not found:
        yield Finding(
            level="error",
            what="--provenance-keyless: nothing here can prove who this is",
            next=told,
        )


@contextlib.contextmanager
def keyless_signer() -> Iterator[Callable[[bytes], str]]:
    """Yield what signs statements with the identity of this job.

    Raises:
        AuthError: It has none, or Sigstore does not believe it.
        TemporaryError: Sigstore or the network.
    """
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import SigningContext

    # First: without one, nothing has to be asked of Sigstore.
    token = identity()
    with contextlib.ExitStack() as stack:
        with _translated("sign"):
            context = SigningContext.from_trust_config(ClientTrustConfig.production())
            signer = stack.enter_context(context.signer(token))

        def signed(payload: bytes) -> str:
            with _translated("sign"):
                return signer.sign_dsse(Statement(payload)).to_json()

        # What fails while signatures are written, such as a full disk, is not Sigstore's doing.
        yield signed


def identity() -> Any:
    """Ask the CI for the token that says who this job is.

    Returns:
        Sigstore's ``IdentityToken``.

    Raises:
        AuthError: There is none, or it is not for Sigstore.
    """
    from sigstore.oidc import IdentityError, IdentityToken, detect_credential

    try:
        found = detect_credential()
        if found is not None:
            keep_secret(found)  # only this process knows it
            return IdentityToken(found)
        why = "no CI that is known here made a token"
    except IdentityError as error:
        why = without_secrets(str(error))
    raise AuthError(
        f"this job cannot prove who it is: {why}",
        owner="the CI that runs it",
        safe="nothing was signed",
        next=f"GitHub: {_GITHUB}. GitLab: {_GITLAB}",
    )


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Name what Sigstore's client raises."""
    try:
        yield
    except UploaderError:
        raise
    except Exception as error:
        raise TemporaryError(
            f"Sigstore did not {what}: {type(error).__name__}: {without_secrets(str(error))}",
            owner="Sigstore's public instance, or the network",
            safe="nothing was changed",
            next="run the same command again; https://status.sigstore.dev says how it is",
        ) from None


def _is_google() -> bool:
    return _PRODUCT.is_file() and _PRODUCT.read_text("utf-8", "replace").startswith("Google")


def check_identity(text: bytes, identity: str, issuer: str, where: str) -> bytes:
    """Return what is signed, if Sigstore says that an identity signed it.

    Args:
        text: Content of a ``model.sig``.
        identity: Such as ``https://github.com/me/repo/.github/workflows/release.yml@refs/tags/v1``.
        issuer: Such as ``https://token.actions.githubusercontent.com``.
        where: It was found, for messages.

    Raises:
        IntegrityError: It is not of that identity.
        UsageError: Sigstore's client is not installed.
        TemporaryError: Sigstore's keys cannot be fetched.
    """
    if find_spec("sigstore") is None:
        raise UsageError("--identity needs Sigstore's client", next=_INSTALL)
    from sigstore.errors import Error, VerificationError
    from sigstore.models import Bundle
    from sigstore.verify import Verifier, policy

    with _translated("check it"):
        verifier = Verifier.production()
    try:
        _, payload = verifier.verify_dsse(
            Bundle.from_json(text), policy.Identity(identity=identity, issuer=issuer)
        )
        return bytes(payload)
    except (VerificationError, Error, ValueError) as error:
        raise IntegrityError(
            f"{where} is not of {identity}: {error}",
            owner=where,
            safe="nothing was changed",
            next="do not use it; ask whoever published it by which workflow they sign",
        ) from error
