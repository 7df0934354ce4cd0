"""A model's outline: its small files, and weights of full length with only their headers in them.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header. The
Hub serves ranges, so a plan sees names, shapes and sizes of every tensor for some kilobytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FIRST = 128 << 10
"""Bytes asked for at once: enough for the header of most files."""

_LARGEST_HEADER = 100_000_000
"""As the safetensors library has it."""


def write_outline(api: HfApi, model_id: str, sha: str, name: str, size: int, path: Path) -> None:
    """Write a file of ``size`` bytes that begins with the header of one on the Hub.

    The rest is a hole and takes no room on disks that know holes.

    Raises:
        HfHubHTTPError: As the client does.
    """
    start = _range(api, model_id, sha, name, 0, min(FIRST, size))
    end = 8 + int.from_bytes(start[:8], "little")
    if len(start) < end <= min(size, _LARGEST_HEADER):
        start += _range(api, model_id, sha, name, len(start), end)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start[:end])
        file.truncate(size)


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
