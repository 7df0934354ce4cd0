"""The Hub's client, logged in, and with timeouts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import AuthError
from uploader_hf.hub.identity import has_identity, keep_what_a_request_carries
from uploader_hf.hub.login import exchange

if TYPE_CHECKING:
    from huggingface_hub import HfApi


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
            # The client itself asks for "no timeout" here and there, such as in repo_info.
            if options.get("timeout", 0) is None:
                del options["timeout"]
            request = build(*args, **options)
            header = request.headers.get("Authorization", "")
            keep_what_a_request_carries(header, options.get("json"))
            return request

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
