"""What a model says of its licence. The base's goes with everything that is made of it.

Id, files, and what the licence wants to be shown; what it allows is no matter of core.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.model_files import leads_out

# https://huggingface.co/docs/hub/repositories-licenses
_LICENCES = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 "
    "bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause "
    "bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 "
    "cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 "
    "eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research "
    "intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 "
    "openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license "
    "fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 "
    "grok2-community gemma unknown other"
)
LICENCES = frozenset(_LICENCES.split())
"""What the Hub takes as ``license`` of a card."""

_FILES = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*", re.IGNORECASE)
_LARGEST = 1 << 20

_LLAMA = "Built with Llama"
_LLAMA_2 = (
    "Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. "
    "All Rights Reserved."
)
_NOTICES: Mapping[str, str] = {
    # What the licences demand to be shown; section 1.b of each.
    "llama2": _LLAMA_2,
    "llama3": "Built with Meta Llama 3",
    "llama3.1": _LLAMA,
    "llama3.2": _LLAMA,
    "llama3.3": _LLAMA,
    "llama4": _LLAMA,
    # Gemma Terms of Use, section 3.1.
    "gemma": "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "[ai.google.dev/gemma/terms](https://ai.google.dev/gemma/terms).",
    # Section 4.b.
    "qwen": "Built with Qwen",
    "qwen-research": "Built with Qwen",
    # Section IV.a.
    "stabilityai-ai-community": "Powered by Stability AI",
}
_META = "Copyright © Meta Platforms, Inc. All Rights Reserved."
_NOTICE_FILES: Mapping[str, str] = {
    # A text file of the name "Notice" has to go with each copy, and to say this: section 1.b.iii of
    # Meta's licences (1.b.ii of the second), 3.1 of Gemma's and NVIDIA's, 3.c of Qwen's, 2.2 of
    # Mistral's, IV.a of Stability's.
    "llama2": _LLAMA_2,
    "llama3": f"Meta Llama 3 is licensed under the Meta Llama 3 Community License, {_META}",
    "llama3.1": f"Llama 3.1 is licensed under the Llama 3.1 Community License, {_META}",
    "llama3.2": f"Llama 3.2 is licensed under the Llama 3.2 Community License, {_META}",
    "llama3.3": f"Llama 3.3 is licensed under the Llama 3.3 Community License, {_META}",
    "llama4": f"Llama 4 is licensed under the Llama 4 Community License, {_META}",
    "gemma": "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms",
    "qwen": "Qwen is licensed under the Qwen LICENSE AGREEMENT, "
    "Copyright (c) Alibaba Cloud. All Rights Reserved.",
    "qwen-research": "Qwen is licensed under the Qwen RESEARCH LICENSE AGREEMENT, "
    "Copyright (c) Alibaba Cloud. All Rights Reserved.",
    "tongyi-qianwen": "Tongyi Qianwen is licensed under the Tongyi Qianwen LICENSE AGREEMENT, "
    "Copyright (c) Alibaba Cloud. All Rights Reserved.",
    "mrl": "Licensed by Mistral AI under the Mistral AI Research License",
    "nvidia-open-model-license": "Licensed by NVIDIA Corporation under the NVIDIA Open Model "
    "License",
    "stabilityai-ai-community": "This Stability AI Model is licensed under the Stability AI "
    "Community License, Copyright © Stability AI Ltd. All Rights Reserved",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What a model says about its licence.

    Attributes:
        metadata: ``license``, ``license_name`` and ``license_link``, as far as they are known.
        files: Licences, notices and policies of the base, to be handed on.
        notice: A sentence that the licence wants to be shown, or "".
        notice_file: Text that it wants in a file ``NOTICE``, or "".
        of_base: Whether it is that of a base model; False for a model that is its owner's own.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    notice: str = ""
    notice_file: str = ""
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
    if isinstance(name, list) and len(name) == 1:
        name = name[0]
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
    called = metadata.get("license_name", name)
    return Licence(
        metadata=metadata,
        files=files,
        notice=_NOTICES.get(called, ""),
        notice_file=_NOTICE_FILES.get(called, ""),
        of_base=of_base,
    )


def _licence_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if _FILES.fullmatch(path.name)
        and path.is_file()
        and not leads_out(folder, path)  # which would publish what it should not
        and path.stat().st_size <= _LARGEST
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
