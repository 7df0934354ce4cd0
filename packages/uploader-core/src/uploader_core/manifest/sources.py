"""What a manifest says of the sources: which chat template was trained with, and whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from uploader_core.artifact import Artifact, Json
from uploader_core.chat_templates import ChatTemplates, processor_templates, tokenizer_templates
from uploader_core.contract.sources import STACK
from uploader_core.errors import SourceError

BASE = "base"


def chat_template(sources: Mapping[str, Artifact]) -> dict[str, Json]:
    """Digest the chat templates of the fine-tune and of its base, and say if they differ.

    Args:
        sources: The source artifacts, by kind.

    Returns:
        ``fine_tune`` and ``base``: digests of the templates' texts by name (``default``,
        ``tool_use``), empty where there is none, None where it is unknown. ``differs``: whether a
        release says something else than the base; a fine-tune without one goes with the base's.
        None where that is unknown.
    """
    # A stack speaks as its first adapter.
    kind = next((k for k in ("adapter", STACK, "checkpoint") if k in sources), None)
    mine = None if kind is None else _digests(sources[kind])
    theirs = _digests(sources[BASE]) if BASE in sources else None
    differs = bool(mine) and mine != theirs
    return {
        "fine_tune": mine,
        "base": theirs,
        "differs": None if mine is None or theirs is None else differs,
    }


def _digests(artifact: Artifact) -> Json:
    try:
        templates = _templates(artifact)
    except SourceError:  # nobody read it, or the run would have been refused
        return None
    texts = {"default": templates.default, **templates.named}
    return {
        name: hashlib.sha256(text.encode("utf-8")).hexdigest()
        for name, text in sorted(texts.items())
        if text is not None
    }


def _templates(artifact: Artifact) -> ChatTemplates:
    files = _files(artifact)
    return tokenizer_templates(files) or processor_templates(files)


def _files(artifact: Artifact) -> dict[str, Path]:
    start = ""
    if artifact.kind == STACK:
        adapters = artifact.metadata.get("adapters")
        first = adapters[0] if isinstance(adapters, list) and adapters else {}
        start = f"{first['folder']}/" if isinstance(first, dict) and "folder" in first else ""
    return {
        file.name.removeprefix(start): artifact.path / file.name
        for file in artifact.files
        if file.name.startswith(start)
    }
