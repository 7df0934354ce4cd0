"""Logging in to the Hub as a job of a CI, which has an identity and no token.

With ``HF_OIDC_RESOURCE`` the client exchanges the job's identity for a token of an hour, before
each request that finds the last one old ("Trusted Publishers"). Such a token is for one repository,
so each worker asks for the one that it works on, whatever repository the variable names. The
variable may also name an account: its token reads the gated models that the account may read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from uploader_core.plugin import AuthError, UploaderError, keep_secret, without_secrets
from uploader_hf.hub.causes import chain, status_of

RESOURCE = "HF_OIDC_RESOURCE"
SECRETS = (
    *("HF_TOKEN", "HF_TOKEN_PATH", RESOURCE, "HF_OIDC_ID_TOKEN"),
    *("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"),
)
"""What the client reads to log in."""


def has_identity(secrets: Mapping[str, str]) -> bool:
    """Return whether the client was told to log in by an identity; it then uses no other token."""
    return bool(secrets.get(RESOURCE))


def can_prove(secrets: Mapping[str, str]) -> bool:
    """Return whether this job has an identity, or was given one."""
    return bool(secrets.get("HF_OIDC_ID_TOKEN") or secrets.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))


def identity_error(error: BaseException) -> UploaderError | None:
    """Return our error for one of an exchange; None for an error of anything else."""
    for part in chain(error):
        if type(part).__name__ == "OIDCError":  # by name: older clients have none
            return _no_identity()
        address = str(getattr(getattr(part, "response", None), "url", ""))
        if address.endswith("/oauth/token") and status_of(part) in (400, 401, 403, 404):
            return _not_trusted(os.environ.get(RESOURCE, ""), part)
    return None


def keep_what_a_request_carries(header: str, body: object) -> None:
    """Have tokens masked that only the client knows: it gets them by itself, before any request.

    Args:
        header: ``Authorization`` of a request.
        body: Its JSON; what is exchanged is in there.
    """
    if header.startswith("Bearer "):
        keep_secret(header.removeprefix("Bearer "))
    if isinstance(body, Mapping) and isinstance(body.get("subject_token"), str):
        keep_secret(body["subject_token"])


def _no_identity() -> UploaderError:
    in_actions = os.environ.get("GITHUB_ACTIONS") == "true"
    return AuthError(
        f"{RESOURCE} is set, and this job has no identity",
        owner="the workflow" if in_actions else RESOURCE,
        safe="nothing was sent",
        next="give the job `permissions: id-token: write`"
        if in_actions
        else "set HF_OIDC_ID_TOKEN to the token that this CI made for https://huggingface.co; "
        f"outside of a CI: unset {RESOURCE}, and hf auth login",
    )


def _not_trusted(repo_id: str, error: BaseException) -> UploaderError:
    """Say what to write where; the Hub does not say which of its checks failed."""
    said = without_secrets(" ".join(_words(error).split()), "***")
    return AuthError(
        f"the Hub does not trust this job with {repo_id}" + (f" ({said})" if said else ""),
        owner=f"the Trusted Publishers of {repo_id}",
        safe="nothing was sent",
        next=f"make the repository if it is not there, private, and name this job at "
        f"{settings_of(repo_id)}: {_claims()}",
    )


def _words(error: BaseException) -> str:
    response = getattr(error, "response", None)
    try:
        data = response.json() if response is not None else {}
    except ValueError:
        data = {}
    said = [data.get(k) for k in ("error", "error_description")] if isinstance(data, dict) else []
    return ": ".join(part for part in said if isinstance(part, str))


def _claims() -> str:
    """Return what GitHub says of this job, as the form of the Hub asks for it."""
    environment = os.environ
    workflow = environment.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].rpartition("/")[2]
    claims = {
        "repository": environment.get("GITHUB_REPOSITORY", ""),
        "ref": environment.get("GITHUB_REF", ""),
        "workflow": workflow,
    }
    known = [f"{name} = {value}" for name, value in claims.items() if value]
    return ", ".join(known) or "the claims of its identity, to the letter"


def settings_of(repo_id: str) -> str:
    """Return where publishers of a repository are named."""
    from huggingface_hub import constants

    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    return f"{endpoint}/{repo_id}/settings, Trusted Publishers"
