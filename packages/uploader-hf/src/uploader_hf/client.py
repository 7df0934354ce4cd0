"""The Hub's client, with timeouts, and its errors in our words.

Every error of the client passes :func:`translated`; none of its texts carries a token.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import (
    AuthError,
    RefusedError,
    SourceError,
    TemporaryError,
    UploaderError,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work, or may have worked although it says not."""

_TOKEN = re.compile(r"hf_\w+")


def make_api(secrets: Mapping[str, str], *, timeout: float) -> HfApi:
    """Return a client for the endpoint of the environment.

    Args:
        secrets: ``HF_TOKEN``, where set; otherwise the token that ``hf auth login`` stored.
        timeout: Seconds without an answer before a request fails; the client has none of its own.
    """
    import huggingface_hub
    from huggingface_hub import HfApi, constants

    _set_timeout(timeout)
    # A stored resume point every two seconds; the default of twenty loses most of an upload.
    os.environ.setdefault("HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_INTERVAL", "2s")
    token = secrets.get("HF_TOKEN") or huggingface_hub.get_token()
    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT") or constants.ENDPOINT,
        token=token or False,
        library_name="uploader",
    )


def _set_timeout(seconds: float) -> None:
    """Give the client's sessions a timeout, where this version of it can take one."""
    import huggingface_hub

    set_factory = getattr(huggingface_hub, "set_client_factory", None)
    if set_factory is None:
        return  # 0.x uses requests and has timeouts per call
    from huggingface_hub.utils import _http

    default = _http.default_client_factory

    def factory() -> Any:
        client = default()
        client.timeout = seconds
        return client

    set_factory(factory)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of the client, through what wraps it."""
    for part in _chain(error):
        status = getattr(getattr(part, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def is_passing(error: BaseException) -> bool:
    """Tell whether an attempt may have worked unseen, or may work in a moment."""
    status = status_of(error)
    return _is_connection(error) if status is None else status in PASSING


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@contextlib.contextmanager
def translated(what: str, *, repo: str | None = None) -> Iterator[None]:
    """Turn what the client raises into an error of ours.

    Args:
        what: What was being done, to begin a sentence: ``creating me/model``.
        repo: Repository, for advice.
    """
    try:
        yield
    except UploaderError:
        raise
    except Exception as error:
        raise translate(error, what, repo=repo) from None


def translate(error: BaseException, what: str, *, repo: str | None = None) -> UploaderError:
    """Return our error for one of the client."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = status_of(error)
    said = mask(str(getattr(error, "server_message", None) or error).strip().splitlines()[0:1])
    text = f"{what} failed: {said}" if said else f"{what} failed"
    if isinstance(error, LocalTokenNotFoundError):
        return no_token()
    if isinstance(error, GatedRepoError):
        return AuthError(
            text,
            owner="the model's owner",
            next=f"accept the conditions of {repo} on its page, with this account",
        )
    if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError)):
        return SourceError(
            f"{repo or what} is not on the Hub, or this token may not see it",
            owner="the Hub",
            safe="nothing was changed",
            next="check the name, or log in with an account that may see it: hf auth login",
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


def _is_connection(error: BaseException) -> bool:
    # By name: the client's HTTP library is requests, httpx or httpx2, as its version goes.
    names = {cls.__name__ for part in _chain(error) for cls in type(part).__mro__}
    return bool(names & {"ConnectionError", "TransportError", "TimeoutException", "TimeoutError"})


def no_token() -> AuthError:
    """Return the error for a missing token."""
    return AuthError(
        "there is no token for the Hub",
        owner="HF_TOKEN is not set and nobody is logged in",
        safe="nothing was sent",
        next="hf auth login, or export HF_TOKEN=... (an .env file in this folder is read too)",
    )


def mask(lines: list[str]) -> str:
    """Join lines with everything that looks like a token masked."""
    return _TOKEN.sub("hf_***", " ".join(lines))
