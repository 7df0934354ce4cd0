"""Logging in to the Hub by an identity, and what such a login may do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from uploader_core.plugin import AuthError
from uploader_hf.hub.causes import carried_token, status_of
from uploader_hf.hub.errors import translate
from uploader_hf.hub.identity import RESOURCE, can_prove, has_identity, settings_of
from uploader_hf.hub.patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def exchange(secrets: Mapping[str, str], repo_id: str, *, write: bool) -> bool:
    """Have the client log in by this job's identity, for a repository.

    Args:
        secrets: With ``HF_OIDC_RESOURCE``.
        repo_id: ``owner/name``.
        write: Whether it will be written to; only the repository's own publisher allows that.

    Returns:
        Whether there is a login. Reading goes on without one.

    Raises:
        AuthError: This job has no identity, or the repository does not trust it.
        TemporaryError: The Hub or the network.
    """
    _need_client()
    given = secrets[RESOURCE]
    # Reading: what an account may read is more than nothing, and its own publisher allows more.
    for resource in (repo_id, *(() if write or "/" in given else (given,))):
        os.environ[RESOURCE] = resource
        try:
            _ask(repo_id)
            return True
        except AuthError:
            if write or not can_prove(secrets):
                raise
    # With it, whatever asks for a token fails.
    del os.environ[RESOURCE]
    return False


def _ask(repo_id: str) -> None:
    """Have the client exchange the identity, again where that may help."""
    from huggingface_hub import get_token

    Patience(repo_id).call("exchanging the identity of this job", get_token)


def _need_client() -> None:
    """Refuse a client that would overlook the identity.

    Raises:
        AuthError: It is older than 1.19.
    """
    if find_spec("huggingface_hub._oidc") is None:
        raise AuthError(
            f"{RESOURCE} is set, and this huggingface_hub knows no identities",
            owner="huggingface_hub",
            safe="nothing was sent",
            next='pip install -U "huggingface_hub>=1.19"',
        )


def check_write(api: HfApi, repo_id: str) -> None:
    """Ask the Hub whether an exchanged token may write: a publisher may be for reading only.

    Raises:
        AuthError: It may not.
    """
    try:
        api.auth_check(repo_id, write=True)
    except Exception as error:
        if status_of(error) == 403:
            raise AuthError(
                f"the Hub lets this job read {repo_id} and not write to it",
                owner=f"the Trusted Publishers of {repo_id}",
                safe="nothing was sent",
                next=f'take the mark at "Read-only" away at {settings_of(repo_id)}',
            ) from None
        raise translate(error, f"asking for {repo_id}", repo=repo_id) from None


def outlived(error: BaseException) -> bool:
    """Return whether a request failed because its token ended, and there is a new one already.

    The headers of a transfer are made once; it may take longer than a token lasts.
    """
    from huggingface_hub import get_token

    if status_of(error) != 401 or not has_identity(os.environ):
        return False
    carried = carried_token(error)
    return bool(carried) and carried != get_token()
