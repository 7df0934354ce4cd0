"""Adapters and models on the Hub as sources, through the Hub's cache, pinned to a commit."""

from __future__ import annotations

from pathlib import Path

from uploader_core.plugin import FetchedSource, SourceContext, SourceError
from uploader_hf.client import make_api, translated

# What a release can depend on; never pickles, other frameworks' weights or ready-made GGUFs.
FILES = [
    "*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "README.md", "LICENSE*",
]  # fmt: skip
REFERENCE = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?"


def fetch(context: SourceContext) -> FetchedSource:
    """Bring ``user/model[@revision]`` into the Hub's cache, or find it there.

    Raises:
        SourceError: It does not exist, or is not in the cache while offline.
        AuthError: It is gated or private.
        TemporaryError: The network.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    model_id, _, revision = context.reference.partition("@")
    api = make_api(context.secrets, timeout=60)
    with translated(f"fetching {model_id}", repo=model_id):
        try:
            folder = snapshot_download(
                model_id,
                revision=revision or None,
                allow_patterns=FILES,
                ignore_patterns=["*/*"],
                endpoint=api.endpoint,
                token=api.token,
                local_files_only=context.offline,
            )
        except LocalEntryNotFoundError:
            raise SourceError(
                f"{context.reference} is not in the cache, and the Hub cannot be reached",
                owner="HF_HUB_OFFLINE" if context.offline else "the network",
                safe="nothing was written",
                next=f"hf download {model_id}, or give a local folder"
                + (" with --base" if context.purpose == "base" else ""),
            ) from None
    path = Path(folder)
    return FetchedSource(path=path, model_id=model_id, revision=path.name)
