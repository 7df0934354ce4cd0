"""The ``Authorization`` of requests: basic, or short-lived tokens, which are replaced in time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from uploader_core.plugin import AuthError, keep_secret, parse_json
from uploader_oci.registry.answer import Answer, refusal
from uploader_oci.registry.challenge import Challenge, parse_challenges
from uploader_oci.registry.credentials import Credentials
from uploader_oci.registry.reference import is_loopback

_LIFETIME = 60.0
"""Seconds of a token that does not say, https://distribution.github.io/distribution/spec/auth/token."""
_EARLY = 5.0
"""Seconds before its end at which a token is not used any more."""


class Ask(Protocol):
    """Sends one request without a login and reads the answer."""

    def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Return the answer, whatever its status."""


class Login:
    """What one registry is told of who we are.

    Args:
        host: Registry, with its port.
        credentials: None where nobody is logged in; many registries give tokens for reading then.
        scopes: What tokens shall allow (``repository:team/model:pull,push``).
        plain_http: Whether the user allows credentials without encryption to this host.
        ask: Sends the requests for tokens.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials | None,
        scopes: Iterable[str],
        *,
        plain_http: bool,
        ask: Ask,
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._scopes = dict.fromkeys(scopes)
        self._plain_http = plain_http
        self._ask = ask
        self._bearer: Challenge | None = None
        self._header: str | None = None
        self._until = float("inf")
        self.tokens = 0
        """How many tokens were fetched."""

    @property
    def origin(self) -> str | None:
        """Where the login comes from, for messages; None without one."""
        return None if self._credentials is None else self._credentials.origin

    def allow(self, scope: str) -> None:
        """Ask for one more right with the next token, such as reading where blobs are mounted."""
        if scope not in self._scopes:
            self._scopes[scope] = None
            if self._bearer is not None:
                self._until = 0.0

    def header(self) -> str | None:
        """Return the value of ``Authorization``; a token that is about to end is replaced."""
        if self._bearer is not None and time.monotonic() >= self._until:
            self._fetch(self._bearer)
        return self._header

    def challenged(self, header: str, used: str | None) -> bool:
        """Take a 401 for an answer.

        Args:
            header: ``WWW-Authenticate`` of the answer.
            used: ``Authorization`` of the request that got it.

        Returns:
            Whether the request may be sent again, with another ``Authorization``.

        Raises:
            AuthError: The server of tokens refuses.
        """
        for challenge in parse_challenges(header):
            if challenge.scheme == "bearer":
                # docker-registry wants the right to delete for giving up an upload. That is asked
                # for once, and not with every later token: a server may refuse all of it.
                if self._bearer is None or "delete" not in challenge.parameters.get("scope", ""):
                    self._bearer = challenge
                self._fetch(challenge)
                return self._header is not None and self._header != used
            if challenge.scheme == "basic" and self._credentials is not None:
                basic = self._credentials.basic
                if basic is None or basic == used:
                    return False
                self._bearer, self._header = None, basic
                return True
        return False

    def _fetch(self, challenge: Challenge) -> None:
        """Get a token from the server that a challenge names."""
        realm = challenge.parameters.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise AuthError(
                f"{self._host} names {realm!r} as its server of tokens, which is no address",
                owner=self._host,
                safe="nothing was sent",
                next="tell whoever runs the registry",
            )
        about = [("service", challenge.parameters.get("service", ""))]
        asked = challenge.parameters.get("scope", "").split()
        scopes = [*dict.fromkeys((*self._scopes, *asked))]
        about += [("scope", scope) for scope in scopes]
        about = [(key, value) for key, value in about if value]
        credentials = self._credentials if self._may_be_told(realm) else None
        if credentials is not None and credentials.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("client_id", "uploader"),
                ("refresh_token", credentials.identity_token),
                *((k, v) for k, v in about if k != "scope"),
                ("scope", " ".join(scopes)),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._ask("POST", realm, headers=headers, body=urlencode(form).encode())
        else:
            basic = None if credentials is None else credentials.basic
            headers = {} if basic is None else {"Authorization": basic}
            url = f"{realm}{'&' if parts.query else '?'}{urlencode(about)}"
            answer = self._ask("GET", url, headers=headers, body=None)
        self.tokens += 1
        self._take(answer, realm, withheld=credentials is not self._credentials)

    def _take(self, answer: Answer, realm: str, *, withheld: bool) -> None:
        token, lifetime = "", _LIFETIME
        if answer.status == 200:
            try:
                data = parse_json(answer.content)
                token = str(data.get("token") or data.get("access_token") or "")
                lifetime = float(data.get("expires_in") or _LIFETIME)
            except (ValueError, TypeError, AttributeError):
                token = ""
        if token.isascii() and token.isprintable() and token:
            keep_secret(token)
            self._header = f"Bearer {token}"
            # By our own clock: that of the server, in issued_at, may be another. A token that
            # lives shorter than _EARLY is used for half of its life.
            self._until = time.monotonic() + max(lifetime - _EARLY, lifetime / 2)
            return
        if withheld:
            raise AuthError(
                f"{self._host} asks for its login at {realm}, another host without encryption, "
                "where it was not sent",
                owner=f"WWW-Authenticate of {self._host}",
                safe="nothing was sent",
                next="tell whoever runs the registry to serve tokens over https",
            )
        if answer.status == 200:
            raise AuthError(
                f"{realm} answers without a token",
                owner=realm,
                safe="nothing was sent",
                next="tell whoever runs the registry",
            )
        what = f"asking {urlsplit(realm).hostname} for a token"
        status = 401 if answer.status in (400, 401, 403) else answer.status
        error = refusal(what, Answer(status=status, headers=answer.headers, content=answer.content,
                                     url=answer.url), self._host, self.origin)  # fmt: skip
        raise error

    def _may_be_told(self, realm: str) -> bool:
        """Tell whether a server of tokens may see the login: encrypted, or this very registry."""
        parts = urlsplit(realm)
        if parts.scheme == "https":
            return True
        if is_loopback(parts.hostname or "") and is_loopback(self._host):
            return True
        own = urlsplit(f"//{self._host}").hostname
        return self._plain_http and parts.hostname == own
