"""What people wrote into a card stays: only what stands between two markers is ours.

The first marker carries digests of the words of a person and of the metadata as they were here when
the card was made. Where they fit what stands on the Hub, nobody changed anything there, and what is
here by now replaces it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

from uploader_core.plugin import load_metadata, split_card
from uploader_hf.rules import errors_of

_BEGIN = re.compile(r"<!-- uploader:begin(?: text=(?P<text>\w*) meta=(?P<meta>\w*))? -->\n?")
_END = "<!-- uploader:end -->"
# Cards that a library wrote because nobody else did.
_GENERATED = (
    "[More Information Needed]",  # peft's and transformers' templates
    "generated_from_trainer",  # transformers' and TRL's Trainer
    "It has been trained using [TRL]",
    "was trained 2x faster with [Unsloth]",
    "This model was converted to GGUF format",
)


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
    """

    head: str | None = None
    before: str = ""
    block: str = ""
    after: str = ""
    text_digest: str | None = None
    meta_digest: str | None = None

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
    """Find out what in a card is ours and what a person wrote; a library's words are nobody's."""
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
    if any(mark in text for mark in _GENERATED):
        return Card(head=head)
    return Card(head=head, before=body)


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
    head = new.head if standing.meta_is_ours else merge_metadata(new.head, standing.head)
    return replace(new, head=head, before=before, after=after)


def merge_metadata(ours: str | None, theirs: str | None) -> str | None:
    """Complete their metadata by ours; what of theirs the Hub does not take is left out."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

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
    if not merged:
        return None
    return str(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)).strip()


def _is_taken(data: dict[str, Any]) -> bool:
    import yaml

    value = next(iter(data.values()))
    return value is not None and not errors_of(f"---\n{yaml.safe_dump(data)}---\n")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
