"""Before anything is computed: account, rights, room, and the visibility of what exists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import AuthError, Finding, PlanContext, RefusedError, UsageError
from uploader_hf import limits
from uploader_hf.client import make_api, no_token, status_of, translated

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check(context: PlanContext) -> Iterable[Finding]:
    """Say who uploads where, and refuse what could not work or would show too much.

    Raises:
        AuthError: No token, a wrong one, or one without the right to write there.
        RefusedError: The repository is public and ``--hf-public`` was not given.
        UsageError: Options that contradict each other.
    """
    repo_id, settings = context.target or "", context.settings
    check_options(settings)
    api = make_api(os.environ, timeout=settings.timeout)
    if not api.token:
        raise no_token()
    with translated("asking the Hub who this token is"):
        account = api.whoami()
    check_rights(account, repo_id)
    with translated(f"asking for {repo_id}", repo=repo_id):
        info = look_up(api, repo_id)
    if info is None:
        visibility = "public" if settings.public else "private"
        what = f"{repo_id} will be made, {visibility}, by {account['name']}"
    else:
        check_visibility(repo_id, private=bool(info.private), public_wanted=settings.public)
        visibility = "private" if info.private else "public"
        what = f"{repo_id} exists, {visibility}; its other files are left alone"
    yield Finding(level="note", what=what)
    yield from limits.check_files(context)
    if visibility == "private":
        yield from limits.check_quota(context, api, account)


def check_options(settings: Any) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: A pull request together with what cannot apply to one.
    """
    if not settings.pr:
        return
    for option, given in (
        ("--hf-revision", settings.revision != "main"),
        ("--hf-tag", bool(settings.tag)),
        ("--hf-public", settings.public),
    ):
        if given:
            raise UsageError(
                f"--hf-pr opens a pull request to main, which {option} does not fit",
                next=f"leave one of the two out; {option} can follow when it is merged",
            )


def check_rights(account: dict[str, Any], repo_id: str) -> None:
    """Refuse an account that may not write to a repository.

    Args:
        account: Answer of ``whoami``.
        repo_id: ``owner/name``.

    Raises:
        AuthError: A read-only token, another owner, or a fine-grained token without this scope.
    """
    owner = repo_id.split("/")[0]
    access = account.get("auth", {}).get("accessToken", {})
    if access.get("role") == "read":
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
    if access.get("role") == "fineGrained" and not _may_write(access, repo_id):
        raise AuthError(
            f"the fine-grained token of {account['name']} may not write to {repo_id}",
            owner="the token's scopes",
            safe="nothing was sent",
            next=f"give it write access to the repositories of {owner} at "
            "https://huggingface.co/settings/tokens",
        )


def _may_write(access: dict[str, Any], repo_id: str) -> bool:
    owner = repo_id.split("/")[0]
    return any(
        "repo.write" in scope.get("permissions", ())
        and scope.get("entity", {}).get("name") in (owner, repo_id)
        for scope in access.get("fineGrained", {}).get("scoped", ())
    )


def look_up(api: HfApi, repo_id: str) -> Any | None:
    """Return what the Hub says of a repository, None when there is none; raises as the client."""
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
