"""Which licence a base model has and which one a fine-tune claims, as their cards and names say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import Licence, ReleaseInfo, card_metadata, licence_of, read_card
from uploader_provenance.licences.terms import is_restricted
from uploader_provenance.licences.texts import licence_of_texts

_BY_NAME = (
    # By the model's own name, whoever holds a copy: most of these licences demand that it stays.
    # Only what restricts is guessed; nothing becomes permissive by its name.
    (r"(?:Meta-)?Llama-2-", "llama2"),
    (r"(?:Meta-)?Llama-3-", "llama3"),
    (r"(?:Meta-)?Llama-3\.1-", "llama3.1"),
    (r"(?:Meta-)?Llama-3\.2-", "llama3.2"),
    (r"(?:Meta-)?Llama-3\.3-", "llama3.3"),
    (r"(?:Meta-)?Llama-4-", "llama4"),
    (r"(?:code|recurrent|shield|pali|med)?gemma-(?:\d+b|1\.1-|2-|3-|3n-)", "gemma"),
    (r"Qwen2\.5-(?:VL-|Coder-)?3B", "qwen-research"),
    (r"Qwen2\.5-(?:VL-|Math-)?72B", "qwen"),
    (r"Qwen1\.5-|Qwen-\d", "tongyi-qianwen"),
    (r"(?:Mistral-Large|Ministral-8B)-Instruct-24", "mrl"),
    (r"Codestral-22B", "mnpl"),
    (r"Falcon3-|Falcon-H1-|falcon-11B|falcon-mamba", "falcon-llm-license"),
    (r"(?:K-)?EXAONE-", "exaone"),
    (r"c4ai-command|aya-", "cc-by-nc-4.0"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SaidLicence:
    """What is said of the licences of a release.

    Attributes:
        base: Name of the base model's licence, "" where that is not known.
        base_link: Where its text is, where its card says that.
        text: Name of the licence whose text is in the base's folder, "" where there is none that is
            known.
        own: What a person wrote into the fine-tune's card, "" where nothing.
        own_link: Where its text is.
        files: Licences, notices and policies that go with what is made, by name.
        has_base: Whether it was made of somebody's model; False for a full model whose card names
            none.
    """

    base: str = ""
    base_link: str = ""
    text: str = ""
    own: str = ""
    own_link: str = ""
    files: tuple[str, ...] = ()
    has_base: bool = True

    def of_made(self, *, adapter: bool) -> tuple[str, str]:
        """Return name and link of the licence of what is made.

        Args:
            adapter: Whether it holds no weights of the base; those keep the base's licence.
        """
        own, base = (self.own, self.own_link), (self.base, self.base_link)
        return own if self.own and (adapter or not self.base) else base


def licences_said(sources: Mapping[str, Path], release: ReleaseInfo) -> SaidLicence:
    """Read what the cards of base and fine-tune say.

    Args:
        sources: Folders of the sources by kind.
        release: What the run is about.
    """
    known = release.base_model if release.base_is_hub_id else None
    has_base = True
    if release.source == "checkpoint" and release.base_model is None:
        # A full model of the user's own: its card is the fine-tune's, and names its base.
        folder, base = sources.get("checkpoint"), None
        head = _head(folder)
        own = licence_of(folder, _persons(head), None)
        named = head.get("base_model")
        known = named if isinstance(named, str) else None
        has_base = bool(named)
        licence = Licence(files=own.files)
    else:
        base = sources.get("base") or sources.get("checkpoint")
        licence = licence_of(base, _head(base), known)
        folder = sources.get("adapter")
        own = licence_of(folder, _persons(_head(folder)), None)
    name = "" if licence.name == "unknown" else licence.name
    text = licence_of_texts(licence.files) if has_base else ""
    if base is None and text and not is_restricted(text):
        text = ""  # beside a fine-tune it may be the fine-tune's own
    guess = "" if name or not known else _by_name(known)
    return SaidLicence(
        base=name if name not in ("", "other") else text or name or guess,
        base_link=licence.metadata.get("license_link", ""),
        text=text,
        own="" if own.name == "unknown" else own.name,
        own_link=own.metadata.get("license_link", ""),
        files=tuple(sorted({path.name for path in (*licence.files, *own.files)})),
        has_base=has_base,
    )


def _by_name(model_id: str) -> str:
    name = model_id.partition("@")[0].rpartition("/")[2]
    return next((found for pattern, found in _BY_NAME if re.match(pattern, name, re.I)), "")


def _head(folder: Path | None) -> dict[str, Any]:
    return card_metadata(read_card(folder))


def _persons(head: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metadata of a fine-tune's card without a licence that its trainer made up."""
    # Unsloth writes the same licence for every model.
    tags = head.get("tags")
    return {} if isinstance(tags, (str, list)) and "unsloth" in tags else head
