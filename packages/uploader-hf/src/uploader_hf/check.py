"""Before anything is computed: account, rights, and the visibility of what exists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import AuthError, Finding, PlanContext, RefusedError
from uploader_hf.client import make_api, no_token, status_of, translated

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check(context: PlanContext) -> Iterable[Finding]:
    """Say who uploads where, and refuse what could not work or would show too much.

    Raises:
        AuthError: No token, a wrong one, or one without the right to write there.
        RefusedError: The repository is public and ``--hf-public`` was not given.
    """
    repo_id = context.target or ""
    api = make_api(os.environ, timeout=context.settings.timeout)
    if not api.token:
        raise no_token()
    with translated("asking the Hub who this token is"):
        account = api.whoami()
    check_rights(account, repo_id)
    info = find_repo(api, repo_id)
    if info is None:
        visibility = "public" if context.settings.public else "private"
        what = f"{repo_id} will be made, {visibility}, by {account['name']}"
    else:
        check_visibility(repo_id, private=bool(info.private), public_wanted=context.settings.public)
        visibility = "private" if info.private else "public"
        what = f"{repo_id} exists, {visibility}; its other files are left alone"
    yield Finding(level="note", what=what)


def check_rights(account: dict[str, Any], repo_id: str) -> None:
    """Refuse an account that may not write to a repository's owner.

    Args:
        account: Answer of ``whoami``.
        repo_id: ``owner/name``.

    Raises:
        AuthError: A read-only token, or another owner.
    """
    owner = repo_id.split("/")[0]
    role = account.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise AuthError(
            f"the token of {account['name']} can only read",
            owner="HF_TOKEN, or the stored login",
            safe="nothing was sent",
            next="make a token with write access at https://huggingface.co/settings/tokens",
        )
    organisations = {o["name"] for o in account.get("orgs", ())}
    if owner != account["name"] and owner not in organisations:
        raise AuthError(
            f"{repo_id} belongs to {owner}, and this token to {account['name']}",
            owner="--to, or the account that is logged in",
            safe="nothing was sent",
            next=f"--to hf:{account['name']}/{repo_id.split('/')[1]}, or log in as {owner}",
        )


def find_repo(api: HfApi, repo_id: str) -> Any | None:
    """Return what the Hub says of a repository, None when there is none."""
    with translated(f"asking for {repo_id}", repo=repo_id):
        try:
            return api.repo_info(repo_id)
        except Exception as error:
            # By status: not every hub sends the code by which the client tells errors apart.
            if status_of(error) == 404:
                return None
            raise


def check_visibility(repo_id: str, *, private: bool, public_wanted: bool) -> None:
    """Refuse to add a private release to a public repository.

    Raises:
        RefusedError: It is public and nobody asked for that.
    """
    if not private and not public_wanted:
        raise RefusedError(
            f"{repo_id} exists and is public, and this release was not asked to be",
            owner=repo_id,
            safe="nothing was sent",
            next="add --hf-public, make the repository private first, or choose another name",
        )
