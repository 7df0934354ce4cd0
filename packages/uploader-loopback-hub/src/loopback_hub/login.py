"""How a job of a CI logs in: it gets an identity, and exchanges it for a token.

Both sides are here: the address at which a job of GitHub Actions gets its identity, a signed web
token, and the Hub's ``POST /oauth/token``, which takes it. What the Hub answers is from its page
https://huggingface.co/docs/hub/trusted-publishers.
"""

from __future__ import annotations

import secrets
import time

from loopback_hub.server import Handler, Refusal, Token

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
_SECONDS_OF_IDENTITY = 300


def give_identity(handler: Handler) -> None:
    """Answer ``GET ACTIONS_ID_TOKEN_REQUEST_URL&audience=...`` as GitHub does.

    Raises:
        Refusal: The asker is no job, or the address was cut.
    """
    known = handler.hub.identities
    asker = (handler.headers.get("Authorization") or "").partition(" ")[2]
    if asker not in known.jobs:
        raise Refusal(401, "this is no job")
    audience = handler.query.get("audience", "")
    job, now = known.jobs[asker], int(time.time())
    claims = {
        "sub": f"repo:{job.get('repository')}:ref:{job.get('ref')}",
        **job,
        "aud": audience,
        "iat": now,
        "nbf": now,
        "exp": now + _SECONDS_OF_IDENTITY,
        "jti": secrets.token_hex(8),
    }
    handler.answer({"value": known.sign(claims), "count": 1})


def exchange(handler: Handler) -> None:
    """Answer ``POST /oauth/token``.

    Raises:
        Refusal: 400, and of an identity that is not trusted not a word why: that is the Hub's rule.
    """
    known, data = handler.hub.identities, handler.json_body()
    resource = str(data.get("resource") or "")
    if (data.get("grant_type"), data.get("subject_token_type")) != (
        _GRANT,
        _ID_TOKEN,
    ) or not resource:
        raise _refusal("invalid_request", "a parameter is missing")
    claims = known.claims(str(data.get("subject_token")), handler.origin)
    there = "/" not in resource or resource in handler.hub.store.repos
    publishers = known.trusted.get(resource, [])
    if not there or claims is None or not any(p.items() <= claims.items() for p in publishers):
        raise _refusal("invalid_grant", "Token exchange was refused")
    token = known.token(resource)
    of_repo = "/" in resource
    handler.hub.tokens[token] = Token(
        user=resource if not of_repo else "[OIDC]",
        role="identity",
        organisations=(),
        scopes=(resource,) if of_repo else (),
    )
    handler.answer(
        {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": known.lifetime,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
    )


def _refusal(error: str, words: str) -> Refusal:
    refusal = Refusal(400, words, error_description=words)
    refusal.extra["error"] = error
    return refusal
