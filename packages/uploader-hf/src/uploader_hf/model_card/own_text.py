"""What people wrote into a card stays: only what stands between two markers is ours.

The first marker carries digests of the words of a person and of the metadata as they were here when
the card was made. Where they fit what stands on the Hub, nobody changed anything there, and what is
here by now replaces it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from uploader_core.plugin import load_metadata, split_card
from uploader_hf.model_card.generated import (
    is_generated,
    own_words,
    persons_metadata,
    without_versions,
)
from uploader_hf.model_card.rules import errors_of

_BEGIN = re.compile(r"<!-- uploader:begin(?: text=(?P<text>\w*) meta=(?P<meta>\w*))? -->\n?")
_END = "<!-- uploader:end -->"
_SETS = ("tags", "datasets")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A card taken apart.

    Attributes:
        head: Metadata as YAML, None without.
        before: Text of a person, before what is ours.
        block: What is ours.
        after: Text of a person, after it.
        text_digest: Of the text around the block, as it was where the card was made; None for a
            card without a block.
        meta_digest: Of the metadata, likewise.
        generated: Whether a library wrote the metadata.
    """

    head: str | None = None
    before: str = ""
    block: str = ""
    after: str = ""
    text_digest: str | None = None
    meta_digest: str | None = None
    generated: bool = False

    @property
    def has_own_text(self) -> bool:
        return bool((self.before + self.after).strip())

    @property
    def text_is_ours(self) -> bool:
        """Whether nobody changed the text around the block since the card was made."""
        return self.text_digest == _digest(self.before.strip(), self.after.strip())

    @property
    def meta_is_ours(self) -> bool:
        return self.meta_digest == _digest((self.head or "").strip())

    def persons_head(self) -> str | None:
        """Return the metadata that a person may have written."""
        if not self.generated:
            return self.head
        return yaml_head(persons_metadata(load_metadata(self.head or "")))

    def signed(self) -> Card:
        """Return the card with the digests of what is in it."""
        return replace(
            self,
            text_digest=_digest(self.before.strip(), self.after.strip()),
            meta_digest=_digest((self.head or "").strip()),
        )

    def __str__(self) -> str:
        head = (self.head or "").strip()
        digests = f"text={self.text_digest or ''} meta={self.meta_digest or ''}"
        parts = [
            f"---\n{head}\n---" if head else "",
            self.before.strip(),
            f"<!-- uploader:begin {digests} -->\n{self.block.strip()}\n{_END}",
            self.after.strip(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def take_apart(text: str) -> Card:
    """Find out what in a card is ours and what a person wrote; a library's words are nobody's.

    See :mod:`uploader_hf.model_card.generated` for those.
    """
    head, body = split_card(text)
    begin = _BEGIN.search(body)
    if begin is not None:
        block, _, after = body[begin.end() :].partition(_END)
        return Card(
            head=head,
            before=body[: begin.start()],
            block=block,
            after=after,
            text_digest=begin["text"],
            meta_digest=begin["meta"],
        )
    if is_generated(text):
        return Card(head=head, before=own_words(text, body), generated=True)
    return Card(head=head, before=without_versions(body))


def keep(new: Card, standing: Card) -> Card:
    """Put what is ours in a new card into one that stands on the Hub already.

    Args:
        new: As made here.
        standing: As it is there.

    Returns:
        Their text, unless it is still what an earlier run put there; their metadata where they
        differ from an earlier run's, completed by ours; our block.
    """
    before, after = standing.before, standing.after
    if standing.text_is_ours or not standing.has_own_text:
        before, after = new.before, new.after
    theirs = standing.persons_head()
    head = new.head if standing.meta_is_ours else merge_metadata(new.head, theirs)
    return replace(new, head=head, before=before, after=after)


def merge_metadata(ours: str | None, theirs: str | None) -> str | None:
    """Complete their metadata by ours; what of theirs the Hub does not take is left out."""
    mine, own = load_metadata(ours or ""), load_metadata(theirs or "")
    merged: dict[str, Any] = dict(mine)
    for name, value in own.items():
        if not _is_taken({name: value}):
            continue
        if isinstance(value, list) and isinstance(mine.get(name), list):
            more = mine[name] if name in _SETS else []
            merged[name] = [*value, *(item for item in more if item not in value)]
        else:
            merged[name] = value
    return yaml_head(merged)


def yaml_head(data: Mapping[str, Any]) -> str | None:
    """Return metadata as YAML, None for none."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    if not data:
        return None
    return str(yaml.safe_dump({**data}, sort_keys=False, allow_unicode=True)).strip()


def _is_taken(data: dict[str, Any]) -> bool:
    import yaml

    value = next(iter(data.values()))
    return value is not None and not errors_of(f"---\n{yaml.safe_dump(data)}---\n")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
