"""Whether what an earlier run brought to a repository is what it has now: one request."""

from __future__ import annotations

from uploader_core.plugin import ArrivalContext
from uploader_hf.hub.client import make_api
from uploader_hf.hub.errors import translated

_TIMEOUT = 10.0


def still_there(context: ArrivalContext) -> bool:
    """Tell whether the branch is at the commit that was compared, and as private as it was then.

    Another commit need not touch the release: the upload is run again, and finds out.

    Raises:
        UploaderError: The repository is not there, or not for this token; or the network.
    """
    api = make_api(context.secrets, context.target, timeout=_TIMEOUT)
    branch = context.receipt.metadata.get("branch")
    with translated(f"asking for {context.target}", repo=context.target):
        info = api.repo_info(context.target, revision=str(branch or "main"))
    return info.sha == context.receipt.revision and info.private == context.receipt.private
