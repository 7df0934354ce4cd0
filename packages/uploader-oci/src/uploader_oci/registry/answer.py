"""What a registry answered, and its refusals in our words. No text of it is shown unmasked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import (
    AuthError,
    IntegrityError,
    RefusedError,
    SourceError,
    SpaceError,
    TemporaryError,
    UploaderError,
    parse_json,
    without_secrets,
)

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work, or may have worked although it says not."""

AGAIN = "run the same command again; what arrived is not sent again"
_FULL = re.compile(
    r"no space left|disk quota|file too large|insufficient storage|quota exceeded", re.I
)
_FULL_CODES = frozenset({27, 28, 122})
"""EFBIG, ENOSPC and EDQUOT, which docker-registry passes on as bare numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer, read to its end.

    Attributes:
        status: Of HTTP.
        headers: By lower-case name.
        content: Body.
        url: Where it came from in the end.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str

    @property
    def passing(self) -> bool:
        """Whether the same request may work later."""
        return self.status in PASSING and not self.is_full

    @property
    def is_full(self) -> bool:
        """Whether the registry says that it has no room."""
        if self.status == 507:
            return True
        return self.status in (413, 429, 500, 503) and any(
            _FULL.search(f"{error.get('message')} {error.get('detail')}")
            or _errno(error.get("detail")) in _FULL_CODES
            for error in self.errors
        )

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """What the registry lists as errors; nothing where the body is of another form."""
        try:
            found = parse_json(self.content)["errors"]
        except (ValueError, KeyError, TypeError):
            return []
        return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []

    @property
    def codes(self) -> set[str]:
        """Codes of the errors (``MANIFEST_UNKNOWN``)."""
        return {str(error.get("code")) for error in self.errors}

    @property
    def wait(self) -> int | None:
        """Seconds that the registry asks us to wait, None when it does not say."""
        after = self.headers.get("retry-after", "")
        return int(after) if after.isdigit() else None

    @property
    def said(self) -> str:
        """Status and what the registry says, in one line."""
        told = (
            "; ".join(f"{error.get('code')}: {error.get('message')}" for error in self.errors)
            or self.content[:300].decode("utf-8", "replace").strip().partition("\n")[0]
        )
        text = "".join(c for c in told if c.isprintable())[:300]
        return without_secrets(f"{self.status} {text}".strip(), "***")


def _errno(detail: Any) -> int | None:
    """Return the number of the system's error that docker-registry puts into a detail."""
    if not isinstance(detail, dict):
        return None
    number = detail.get("Err")
    return number if isinstance(number, int) else _errno(detail.get("Enclosed"))


def refusal(what: str, answer: Answer, place: str, login: str | None) -> UploaderError:
    """Return the error for an answer that is none of those hoped for.

    Args:
        what: What was being done, to begin a sentence: ``sending model.gguf``.
        answer: Of the registry.
        place: Registry or repository, for advice.
        login: Where the login comes from; None without one.
    """
    text = f"{what} failed: {answer.said}"
    host = place.partition("/")[0]
    if answer.status == 400 and b"to an HTTPS server" in answer.content:
        return RefusedError(
            f"{host} speaks https only, and was spoken to by http",
            owner=host,
            safe="nothing was sent",
            next=f"OCI_ENDPOINT=https://{host}, with SSL_CERT_FILE for an authority of your own",
        )
    if answer.status == 401 and login is None:
        return AuthError(
            f"{host} wants a login for this: {what}",
            owner=place,
            safe="nothing was changed",
            next=f"docker login {host}, or set UPLOADER_OCI_USERNAME and UPLOADER_OCI_PASSWORD",
        )
    if answer.status == 401:
        return AuthError(
            f"{host} does not accept this login: {what}",
            owner=login,
            safe="nothing was changed",
            next=f"log in again: docker login {host}, or correct UPLOADER_OCI_USERNAME and "
            "UPLOADER_OCI_PASSWORD",
        )
    if answer.status == 403 or "DENIED" in answer.codes:
        return AuthError(
            text,
            owner=f"the rights of {login or 'nobody: there is no login'} on {place}",
            safe="nothing visible was changed",
            next=f"use a login that may push to {place}",
        )
    if answer.is_full:
        return SpaceError(
            f"{what} failed: {host} has no room: {answer.said}",
            owner=f"the disk or the quota of {host}",
            safe="nothing visible was changed; files that arrived are kept there",
            next="make room at the registry, then run the same command again",
        )
    if "DIGEST_INVALID" in answer.codes:
        return IntegrityError(
            text,
            owner=f"the line, or a file that changed while it was sent to {host}",
            safe="the registry did not take it",
            next="run the same command again",
        )
    if answer.status == 404:
        return SourceError(
            f"{place} is not there, or this login may not see it: {answer.said}",
            owner=host,
            safe="nothing was changed",
            next="check the name and the login; some registries want a repository to be made first",
        )
    if answer.passing:
        return TemporaryError(
            text, owner=f"{host} or the network", safe="what arrived is kept", next=AGAIN
        )
    return RefusedError(text, owner=place, safe="nothing visible was changed",
                        next="see what the registry says above")  # fmt: skip
