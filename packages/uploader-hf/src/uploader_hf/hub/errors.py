"""Errors of the Hub's client in our words.

Every one passes :func:`translated`; none of its texts carries a token.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping

from uploader_core.plugin import (
    AuthError,
    RefusedError,
    SourceError,
    TemporaryError,
    UploaderError,
    without_secrets,
)
from uploader_hf.hub.causes import carried_token, chain, status_of
from uploader_hf.hub.identity import has_identity, identity_error

PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work, or may have worked although it says not."""

_CONNECTION_ERRORS = frozenset(
    {
        *("ConnectionError", "TimeoutError"),  # Python, requests
        *("Timeout", "ChunkedEncodingError"),  # requests
        *("TransportError", "TimeoutException"),  # httpx and httpx2
    }
)


def is_passing(error: BaseException) -> bool:
    """Return whether an attempt may have worked unseen, or may work in a moment."""
    if own_error(error) is not None or _is_offline(error):
        return False
    status = status_of(error)
    return is_connection(error) if status is None else status in PASSING


def own_error(error: BaseException) -> UploaderError | None:
    """Return an error of ours that the client wrapped, such as a stop during a transfer."""
    return next((part for part in chain(error) if isinstance(part, UploaderError)), None)


def asked_to_wait(error: BaseException) -> int | None:
    """Return the seconds that the Hub wants us to wait, None when it did not say.

    It says so as ``RateLimit: "api";r=0;t=55``, other hubs as ``Retry-After: 55``.
    """
    for part in chain(error):
        headers: Mapping[str, str] = getattr(getattr(part, "response", None), "headers", None) or {}
        limit = re.search(r"\br=0\b.*\bt=(\d+)", headers.get("RateLimit", ""))
        after = headers.get("Retry-After", "")
        if limit or after.isdigit():
            return int(limit[1] if limit else after)
    return None


@contextlib.contextmanager
def translated(what: str, *, repo: str | None = None) -> Iterator[None]:
    """Turn what the client raises into an error of ours.

    Args:
        what: What was being done, to begin a sentence: ``creating me/model``.
        repo: Repository, for advice.
    """
    try:
        yield
    except Exception as error:
        raise translate(error, what, repo=repo) from None


def translate(error: BaseException, what: str, *, repo: str | None = None) -> UploaderError:
    """Return our error for one of the client; one of ours, wrapped or not, as it is."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    own = own_error(error)
    if own is not None:
        return own
    status = status_of(error)
    lines = str(getattr(error, "server_message", None) or error).strip().splitlines()
    said = mask(lines[0], error) if lines else ""
    text = f"{what} failed: {said}" if said else f"{what} failed"
    if isinstance(error, LocalTokenNotFoundError):
        return no_token()
    refused = identity_error(error)
    if refused is not None:
        return refused
    if _is_offline(error):
        return RefusedError(
            f"{what} needs the Hub, and the client was told to stay offline",
            owner="HF_HUB_OFFLINE",
            safe="nothing was sent",
            next="unset HF_HUB_OFFLINE; only destinations and sources on the Hub need it",
        )
    if isinstance(error, GatedRepoError):
        return AuthError(
            text,
            owner="the model's owner",
            next=f"accept the conditions of {repo} on its page, with this account",
        )
    if isinstance(error, RevisionNotFoundError):
        return SourceError(
            f"{repo or what} is not on the Hub: no branch, tag or commit is called so",
            owner="the Hub",
            safe="nothing was changed",
            next="see which there are on the model's page, under Files and versions",
        )
    if isinstance(error, RepositoryNotFoundError):
        return SourceError(
            f"{repo or what} is not on the Hub, or this token may not see it",
            owner="the Hub",
            safe="nothing was changed",
            next="check the name (of a folder: write ./ before it), or log in with an account that "
            "may see it: hf auth login",
        )
    if status == 401 and has_identity(os.environ):
        return AuthError(
            f"{what} failed: the Hub does not know the token that it gave this job",
            owner="the Hub, or a job that took longer than its identity lasts",
            safe="nothing visible was changed",
            next="run the same command again, in a new job",
        )
    if status == 401:
        return AuthError(
            f"{what} failed: the Hub does not know this token",
            owner="HF_TOKEN, or the stored login",
            safe="nothing was sent",
            next="make a new token at https://huggingface.co/settings/tokens, then hf auth login",
        )
    if status == 403:
        return AuthError(
            text,
            owner=f"the rights of this token on {repo}" if repo else "the rights of this token",
            safe="nothing visible was changed",
            next="use a token with write access to that account",
        )
    if is_passing(error):
        return TemporaryError(
            text,
            owner="the Hub or the network",
            safe="what was sent already is kept and not sent again",
            next="run the same command again in a few minutes",
        )
    return RefusedError(text, owner="the Hub", next="run it again with --debug, or report it")


def is_connection(error: BaseException) -> bool:
    """Return whether nobody answered."""
    # By name: the client's HTTP library is requests, httpx or httpx2, as its version goes.
    names = {cls.__name__ for part in chain(error) for cls in type(part).__mro__}
    return bool(names & _CONNECTION_ERRORS)


def _is_offline(error: BaseException) -> bool:
    """Return whether the client refused to ask because of ``HF_HUB_OFFLINE``."""
    return any(type(part).__name__ == "OfflineModeIsEnabled" for part in chain(error))


def no_token() -> AuthError:
    """Return the error for a missing token."""
    return AuthError(
        "there is no token for the Hub",
        owner="HF_TOKEN is not set and nobody is logged in",
        safe="nothing was sent",
        next="hf auth login, or export HF_TOKEN=... (an .env file in this folder is read too)",
    )


def mask(text: str, error: BaseException) -> str:
    """Mask the token that an error's request carried, and all that looks like one, in a text."""
    token = carried_token(error)
    return without_secrets(text.replace(token, "***") if token else text, "***")
