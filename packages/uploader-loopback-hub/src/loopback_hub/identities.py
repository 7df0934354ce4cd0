"""Identities of a CI's jobs, and whom the Hub trusts with what ("Trusted Publishers")."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Identities:
    """Whom the Hub trusts with what.

    Attributes:
        lifetime: Seconds that an exchanged token lasts, as the Hub says with it.
        requests: Requests after which one ends, however long it lasts; 0 for any number.
        trusted: By resource, the claims that an identity must have.
        jobs: What the CI says of a job, by what it proves itself with.
        given: Tokens that were given for identities.
    """

    lifetime: int = 3600
    requests: int = 0
    trusted: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    jobs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    _ends: dict[str, tuple[float, int]] = field(default_factory=dict)

    def trust(self, resource: str, **claims: str) -> None:
        """Make a publisher of a repository (``owner/name``), or of an account.

        Args:
            resource: What the token will be for.
            claims: Each must be as it is in the identity, to the letter.
        """
        self.trusted.setdefault(resource, []).append(claims)

    def begin_job(self, **claims: str) -> str:
        """Return what a new job proves to the CI that it is that job.

        Args:
            claims: What the CI will say of the job.
        """
        token = secrets.token_hex(20)
        self.jobs[token] = {"iss": "https://token.actions.githubusercontent.com", **claims}
        return token

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a signed web token."""
        head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = _encode(json.dumps(dict(claims)).encode())
        return f"{head}.{body}.{self._sign(f'{head}.{body}')}"

    def expire(self) -> None:
        """End all tokens that were given so far, as after an hour."""
        self._ends = dict.fromkeys(self._ends, (0.0, -1))

    def is_good(self, token: str) -> bool:
        """Count a request with an exchanged token; return whether it was still good."""
        if token not in self._ends:
            return True  # another sort of token
        until, left = self._ends[token]
        self._ends[token] = (until, left - 1)
        return time.monotonic() < until and left != 0

    def _sign(self, text: str) -> str:
        return _encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest())

    def claims(self, token: str, audience: str) -> Mapping[str, Any] | None:
        """Return what an identity says, None where it is not ours, old, or for somebody else."""
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(text), signature):
            return None
        body = text.partition(".")[2]
        claims: Mapping[str, Any] = json.loads(
            base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        )
        good = claims.get("aud") == audience and claims.get("exp", 0) > time.time()
        return claims if good else None

    def token(self, resource: str) -> str:
        """Return a new token for a resource."""
        sort = "jwt" if "/" in resource else "oauth"
        token = f"hf_{sort}_{self.sign({'resource': resource, 'nonce': secrets.token_hex(8)})}"
        self.given.append(token)
        self._ends[token] = (time.monotonic() + self.lifetime, self.requests or -1)
        return token


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
