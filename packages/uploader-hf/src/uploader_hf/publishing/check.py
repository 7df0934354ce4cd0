"""Before anything is computed: account, rights, room, visibility of what exists, and secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import (
    AuthError,
    Finding,
    PlanContext,
    RefusedError,
    UsageError,
    secrets_in_sources,
)
from uploader_hf.hub import limits
from uploader_hf.hub.causes import status_of
from uploader_hf.hub.client import make_api
from uploader_hf.hub.errors import no_token, translated
from uploader_hf.hub.login import check_write
from uploader_hf.hub.patience import Patience
from uploader_hf.model_card.own_text import take_apart
from uploader_hf.publishing.replaced import OPTION, Coming, find_replaced

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ALLOW = "--hf-allow-secret"
EMPTY = frozenset({".gitattributes"})
"""What the Hub itself puts into a new repository."""


def check(context: PlanContext) -> Iterable[Finding]:
    """Say who uploads where, and refuse what could not work or would show too much.

    Raises:
        AuthError: No token, a wrong one, or one without the right to write there.
        RefusedError: The repository is public and ``--hf-public`` was not given, or the other way
            round with a pull request.
        UsageError: Options that contradict each other.
    """
    repo_id, settings = context.target or "", context.settings
    check_options(settings)
    api = make_api(os.environ, repo_id, timeout=settings.timeout, write=True)
    if not api.token:
        raise no_token()
    account = None
    if api.token is True:  # an identity is no account
        check_write(api, repo_id)
    else:
        with translated("asking the Hub who this token is"):
            account = api.whoami()
        check_rights(account, repo_id)
    with translated(f"asking for {repo_id}", repo=repo_id):
        info = look_up(api, repo_id)
    if info is None:
        visibility = "public" if settings.public else "private"
        by = f", by {account['name']}" if account else ""
        what = f"{repo_id} will be made, {visibility}{by}"
    else:
        check_visibility(repo_id, info, settings)
        visibility = "private" if info.private else "public"
        what = f"{repo_id} exists, {visibility}"
        if opens_pull_request(info, settings):
            what = f"{repo_id} exists, {visibility}; a draft pull request is opened there"
    yield Finding(level="note", what=what)
    if info is not None:
        yield from _replaced(context, api, repo_id)
    yield from secrets_in_sources(
        context.sources,
        ALLOW,
        allowed=settings.allow_secret,
        has_own_words=lambda text: take_apart(text).has_own_text,
    )
    yield from limits.check_files(context)
    if visibility == "private" and account:
        yield from limits.check_quota(context, api, account)


def _replaced(context: PlanContext, api: HfApi, repo_id: str) -> Iterator[Finding]:
    """Say what of an earlier release goes, and refuse what would be loaded in place of this one."""
    patience, revision = Patience(repo_id), context.settings.revision
    refs = patience.call(f"reading the branches of {repo_id}", lambda: api.list_repo_refs(repo_id))
    if revision not in {branch.name for branch in refs.branches}:
        revision = "main"  # a branch is made of it
    left = find_replaced(api, patience, repo_id, revision, Coming.of_plan(context))
    yield from left.findings(repo_id, OPTION, context.settings.foreign)


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
        AuthError: A read-only token, another owner, an organisation where the account only reads,
            or a fine-grained token without this scope.
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
    organisations = {o["name"]: o.get("roleInOrg") for o in account.get("orgs", ())}
    if owner != account["name"] and owner not in organisations:
        raise AuthError(
            f"{repo_id} belongs to {owner}, and this token to {account['name']}",
            owner="--to, or the account that is logged in",
            safe="nothing was sent",
            next=f"--to hf:{account['name']}/{repo_id.split('/')[1]}, or log in as {owner}",
        )
    if organisations.get(owner) == "read":
        raise AuthError(
            f"{account['name']} may only read in {owner}",
            owner=f"the role of {account['name']} in {owner}",
            safe="nothing was sent",
            next=f"ask an admin of {owner} for the role write or contributor, or "
            f"--to hf:{account['name']}/{repo_id.split('/')[1]}",
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


def opens_pull_request(info: Any, settings: Any) -> bool:
    """Return whether a release goes into a pull request: asked for, and there is something already.

    Args:
        info: What the Hub says of the repository.
        settings: Of the upload.
    """
    return bool(settings.pr and {s.rfilename for s in info.siblings or ()} - EMPTY)


def check_visibility(repo_id: str, info: Any, settings: Any) -> None:
    """Refuse what would show a release that was not asked to be public, or leave one hidden.

    Args:
        repo_id: ``owner/name``.
        info: What the Hub says of it.
        settings: Of the upload.

    Raises:
        RefusedError: It is public and nobody asked for that, pull requests included; or it is
            private and should be made public with a pull request that nobody has merged.
    """
    if not info.private and not settings.public:
        raise RefusedError(
            f"{repo_id} exists and is public, and this release was not asked to be",
            owner=repo_id,
            safe="nothing was sent",
            next="add --hf-public, make the repository private first, or choose another name",
        )
    if info.private and settings.public and opens_pull_request(info, settings):
        raise RefusedError(
            f"{repo_id} is private, and a draft pull request does not make it public",
            owner=repo_id,
            safe="nothing was sent",
            next="leave --hf-public out; make the repository public when the request is merged",
        )
