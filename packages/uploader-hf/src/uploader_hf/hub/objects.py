"""Large objects in the Hub's store: which of them it refused, and whether it has one after all.

When the answer to the last request of an upload in parts is lost, the client repeats the request.
The parts are an object by then, so the store refuses it: 404 ``NoSuchUpload`` at S3, 400 elsewhere.
Content that is not what was promised is refused in the same words. Asking tells the two apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from uploader_hf.hub.causes import chain, status_of
from uploader_hf.hub.patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

_TRANSFER = re.compile(r"Error while uploading '(.+)' to the Hub", re.DOTALL)
"""What the client says of a large file whose transfer failed; there is no class for it."""


def refused_object(error: BaseException) -> str | None:
    """Return the name of the file whose object the store did not take; None for other errors."""
    if status_of(error) not in (400, 404):
        return None
    found = (_TRANSFER.search(str(part)) for part in chain(error))
    return next((match[1] for match in found if match), None)


def is_stored(
    api: HfApi, patience: Patience, repo_id: str, revision: str, operation: CommitOperationAdd
) -> bool:
    """Ask for the address to send an object to; there is none for one that is stored already.

    Raises:
        UploaderError: The Hub does not answer.
    """
    from huggingface_hub.lfs import post_lfs_batch_info

    answer = patience.call(
        f"asking {repo_id} for {operation.path_in_repo}",
        lambda: post_lfs_batch_info(
            [operation.upload_info],
            token=api.token or None,  # type: ignore[arg-type]  # True works as well
            repo_type="model",
            repo_id=repo_id,
            revision=quote(revision, safe=""),
            endpoint=api.endpoint,
        ),
    )
    return bool(answer[0]) and not any("upload" in (o.get("actions") or {}) for o in answer[0])
