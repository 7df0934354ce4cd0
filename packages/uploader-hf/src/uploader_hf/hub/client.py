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
    without_secrets,
)
from uploader_hf.hub.identity import (
    exchange,
    has_identity,
    identity_error,
    keep_what_a_request_carries,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work, or may have worked although it says not."""

_CONNECTION_ERRORS = frozenset(
    {
        *("ConnectionError", "TimeoutError"),  # Python, requests
        *("Timeout", "ChunkedEncodingError"),  # requests
        *("TransportError", "TimeoutException"),  # httpx and httpx2
    }
)


def make_api(
    secrets: Mapping[str, str], repo_id: str = "", *, timeout: float, write: bool = False
) -> HfApi:
    """Return a client for the endpoint of the environment.

    Args:
        secrets: Those of :data:`uploader_hf.hub.identity.SECRETS` that are set. An identity comes
            first, as with the client itself; then ``HF_TOKEN``, then what ``hf auth login`` stored.
        repo_id: What is asked for; "" for nothing in particular, which an identity is not for.
        timeout: Seconds without an answer before a request fails; the client has none of its own.
        write: Whether the repository will be written to.

    Raises:
        AuthError: The token has characters that no request can carry, or the repository does not
            trust this job.
    """
    import huggingface_hub
    from huggingface_hub import HfApi, constants

    _set_timeout(timeout)
    # A stored resume point every two seconds; the default of twenty loses most of an upload.
    os.environ.setdefault("HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_INTERVAL", "2s")
    token: str | bool
    if has_identity(secrets):
        # True: the client looks before each request whether its token is still good.
        token = bool(repo_id) and exchange(secrets, repo_id, write=write)
    else:
        token = clean_token(secrets.get("HF_TOKEN") or huggingface_hub.get_token() or "")
    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT") or constants.ENDPOINT,
        token=token or False,
        library_name="uploader",
    )


def clean_token(token: str) -> str:
    """Return a token without the white space that copying and Windows line ends leave around it.

    Raises:
        AuthError: What is left cannot be in a request's header. The HTTP libraries would quote
            it in their own error, token and all.
    """
    token = token.strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise AuthError(
            "the token for the Hub has characters in it that no token has",
            owner="HF_TOKEN, or the stored login",
            safe="nothing was sent",
            next="copy it again from https://huggingface.co/settings/tokens, then hf auth login",
        )
    return token


def _set_timeout(seconds: float) -> None:
    """Give the client's sessions a timeout, whatever HTTP library this version of it uses."""
    import huggingface_hub
    from huggingface_hub.utils import _http

    set_factory = getattr(huggingface_hub, "set_client_factory", None)
    if set_factory is None:
        _set_requests_timeout(seconds)
        return
    default = _http.default_client_factory

    def factory() -> Any:
        client = default()
        client.timeout = seconds
        build = client.build_request

        def build_in_time(*args: Any, **options: Any) -> Any:
            headers = options.get("headers") or {}
            keep_what_a_request_carries(headers.get("Authorization", ""), options.get("json"))
            # The client itself asks for "no timeout" here and there, such as in repo_info.
            if options.get("timeout", 0) is None:
                del options["timeout"]
            return build(*args, **options)

        client.build_request = build_in_time  # type: ignore[method-assign]
        return client

    set_factory(factory)


def _set_requests_timeout(seconds: float) -> None:
    """Do the same for the client before 1.0; requests has no timeout of a session."""
    import huggingface_hub
    from huggingface_hub.utils import _http

    # Any: these names are of 0.36 and unknown to the newer client's types.
    old: Any = _http
    configure: Any = getattr(huggingface_hub, "configure_http_backend")  # noqa: B009

    def factory() -> Any:
        session = old._default_backend_factory()
        request = session.request

        def request_in_time(*args: Any, **options: Any) -> Any:
            if options.get("timeout") is None:
                options["timeout"] = seconds
            return request(*args, **options)

        session.request = request_in_time
        return session

    configure(backend_factory=factory)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of the client, through what wraps it."""
    for part in chain(error):
        status = getattr(getattr(part, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


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


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, outermost first."""
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
            next="check the name, or log in with an account that may see it: hf auth login",
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


def carried_token(error: BaseException) -> str:
    """Return the token that the request of an error carried, "" for none."""
    for part in chain(error):
        for source in (getattr(part, "response", None), part):
            # Never getattr on httpx's errors blindly: their ``request`` raises when there is none.
            try:
                header = str(source.request.headers["Authorization"])  # type: ignore[union-attr]
            except (AttributeError, KeyError, RuntimeError):
                continue
            return header.removeprefix("Bearer ")
    return ""
