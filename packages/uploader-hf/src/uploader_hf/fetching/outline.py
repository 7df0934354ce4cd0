"""Outlines of weights on the Hub, which serves ranges."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_core.plugin import write_outline

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def outline_weights(api: HfApi, model_id: str, sha: str, name: str, size: int, path: Path) -> None:
    """Write a file of ``size`` bytes that begins with the header of one on the Hub.

    Raises:
        HfHubHTTPError: As the client does.
    """
    write_outline(path, size, partial(_range, api, model_id, sha, name))


def _range(api: HfApi, model_id: str, sha: str, name: str, start: int, stop: int) -> bytes:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    answer = get_session().get(
        hf_hub_url(model_id, name, revision=sha, endpoint=api.endpoint),
        headers={**build_hf_headers(token=api.token), "Range": f"bytes={start}-{stop - 1}"},
    )
    hf_raise_for_status(answer)
    content: bytes = answer.content
    # A server that knows no ranges answers 200 with all of it.
    return content[: stop - start] if answer.status_code == 206 else content[start:stop]
