"""The base model's licence goes with everything that is made of it: its id, files and notices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_hf.model_card.rules import LICENCES

_FILES = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*", re.IGNORECASE)
_LARGEST = 1 << 20

_LLAMA = "Built with Llama"
_NOTICES: Mapping[str, str] = {
    # What the licences demand to be shown; section 1.b of each.
    "llama2": "Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta "
    "Platforms, Inc. All Rights Reserved.",
    "llama3": _LLAMA,
    "llama3.1": _LLAMA,
    "llama3.2": _LLAMA,
    "llama3.3": _LLAMA,
    "llama4": _LLAMA,
    # Gemma Terms of Use, section 3.1.
    "gemma": "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "[ai.google.dev/gemma/terms](https://ai.google.dev/gemma/terms).",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What a model says about its licence.

    Attributes:
        metadata: ``license``, ``license_name`` and ``license_link``, as far as they are known.
        files: Licences, notices and policies of the base, to be handed on.
        notice: A sentence that the licence wants to be shown, or "".
        of_base: Whether it is that of a base model; False for a model that is its owner's own.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    notice: str = ""
    of_base: bool = True

    @property
    def name(self) -> str:
        """What it is called, "" when that is not known."""
        return self.metadata.get("license_name") or self.metadata.get("license", "")


def licence_of(
    folder: Path | None, head: Mapping[str, Any], model_id: str | None, *, of_base: bool = True
) -> Licence:
    """Return the licence of a model.

    Args:
        folder: With its files; None when they are not here.
        head: Metadata of its card.
        model_id: Its id on the Hub, None when it has none.
        of_base: See :class:`Licence`.
    """
    files = () if folder is None else tuple(_licence_files(folder))
    name = head.get("license")
    if not isinstance(name, str) or name not in LICENCES:
        return Licence(files=files, of_base=of_base)
    metadata = {"license": name}
    if name == "other":
        own = head.get("license_name")
        if isinstance(own, str) and re.fullmatch(r"[a-z0-9][a-z0-9.+_-]*", own):
            metadata["license_name"] = own
        link = _link(head.get("license_link"), files, model_id)
        if link is not None:
            metadata["license_link"] = link
    return Licence(metadata=metadata, files=files, notice=_NOTICES.get(name, ""), of_base=of_base)


def _licence_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if _FILES.fullmatch(path.name) and path.is_file() and path.stat().st_size <= _LARGEST
    )


def _link(link: Any, files: tuple[Path, ...], model_id: str | None) -> str | None:
    """Return a link that works in another repository."""
    names = {path.name for path in files}
    if not isinstance(link, str):
        return "LICENSE" if "LICENSE" in names else None
    if re.fullmatch(r"https?://\S+", link):
        return link
    if link in ("LICENSE", "LICENSE.md", "LICENSE.txt") and link in names:
        return link
    if model_id is not None and re.fullmatch(r"[\w./-]+", link) and ".." not in link:
        return f"https://huggingface.co/{model_id}/blob/main/{link}"
    return None
