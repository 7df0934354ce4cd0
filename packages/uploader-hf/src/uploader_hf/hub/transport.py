"""Xet where the server has it, plain LFS where it has not; found out by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from uploader_hf.hub.errors import is_passing
from uploader_hf.hub.patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def uses_xet() -> bool:
    """Return whether large files go through Xet in this process."""
    from huggingface_hub.utils._runtime import is_xet_available

    return bool(is_xet_available())


def choose(api: HfApi, patience: Patience, repo_id: str, revision: str) -> str:
    """Ask the server for a Xet token and switch Xet off where it has none to give.

    The client does not find out by itself and fails. Only "not here" is an answer: a server that is
    busy is asked again.

    Returns:
        ``xet`` or ``lfs``.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    if not uses_xet():
        return "lfs"
    url = f"{api.endpoint}/api/models/{repo_id}/xet-write-token/{quote(revision, safe='')}"

    def ask() -> bool:
        answer = get_session().get(url, headers=build_hf_headers(token=api.token))
        try:
            hf_raise_for_status(answer)
        except Exception as error:
            if is_passing(error):
                raise
            return False
        return True

    if patience.call(f"asking how {repo_id} takes large files", ask):
        return "xet"
    constants.HF_HUB_DISABLE_XET = True
    return "lfs"
