"""Cards that a library wrote because nobody else did, and what a person wrote into one.

peft and transformers leave a template full of "[More Information Needed]"; transformers' Trainer,
TRL and sentence-transformers describe the run; Unsloth adds a licence that is always the same,
axolotl its configuration with all paths. All of them invite the owner to go on writing, so what is
taken out are their own sentences and sections; what is left is a person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MARKS = (
    "[More Information Needed]",  # peft's and transformers' templates
    "generated_from_trainer",  # transformers' and TRL's Trainer
    "This model card has been generated automatically",
    "It has been trained using [TRL]",
    "trained 2x faster with [Unsloth]",
    "This is a [sentence-transformers](https://www.SBERT.net) model",
    "This model was converted to GGUF format",
)
_WHOLE = ("This model was converted to GGUF format",)
"""Nobody goes on writing in these."""

_OF_ST = "This is a [sentence-transformers](https://www.SBERT.net)"
_ALWAYS = frozenset(
    {
        *("training hyperparameters", "non-default hyperparameters", "all hyperparameters"),
        *("training results", "training logs", "framework versions", "quick start", "citations"),
    }
)
"""Sections that are written by programs from beginning to end."""

_OF_SENTENCE_TRANSFORMERS = frozenset(
    {
        *("model details", "full model architecture", "usage", "evaluation", "training details"),
        *("citation", "environmental impact", "glossary", "model card authors"),
        *("model card contact", "additional resources"),
    }
)
"""The same in a card of sentence-transformers, with all that is below them."""

_LINES = re.compile(
    r"""
    (?:-\ \*\*[^*]+:\*\*\ )? \[?More\ [Ii]nformation\ [Nn]eeded\]? \.?
    | -\ \*\*Finetuned\ from\ model\ (?:\[optional\])?:\*\*\ .*
    | Users\ \(both\ direct\ and\ downstream\)\ should\ be\ made\ aware .*
    | Carbon\ emissions\ can\ be\ estimated\ using\ the\ \[Machine\ Learning\ Impact .*
    | Use\ the\ code\ below\ to\ get\ started\ with\ the\ model\.
    | \*\*(?:BibTeX|APA):\*\*
    | This\ model\ (?:is\ a\ fine-tuned\ version\ of|was\ trained\ from\ scratch\ on)\ .*
    | It\ has\ been\ trained\ using\ \[TRL\].*
    | This\ model\ was\ trained\ with\ (?:SFT|DPO|KTO|ORPO|CPO|GRPO|RLOO|PPO|Reward|BCO|GKD|XPO)\b.*
    | This\ \S+\ model\ was\ trained\ 2x\ faster\ with\ \[Unsloth\].*
    | This\ is\ a\ \[sentence-transformers\]\(https://www\.SBERT\.net\).*
    | The\ following\ `bitsandbytes`\ quantization\ config\ was\ used\ during\ training:
    | -\ (?:_?load_in_|llm_int8_|bnb_4bit_|quant_method)\w*:\ .*
    | \[<img\ src="https://raw\.githubusercontent\.com/.*
    | -\ (?:PEFT|TRL|Transformers|Pytorch|Datasets|Tokenizers|Sentence\ Transformers):?\ \d\S*
    """,
    re.VERBOSE,
)
_UNSLOTH = re.compile(r"- \*\*(?:Developed by|License|Finetuned from model ?):\*\* .*")
_AXOLOTL = re.compile(r"<details><summary>See axolotl config</summary>.*?</details>(?:<br>)?", re.S)
_RESULTS = re.compile(r"It achieves the following results on the evaluation set:\n(?:- .*\n?)*")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_TITLE = re.compile(
    r"# (?:(?:Model Card for |SentenceTransformer based on )?\S+|Model Card for Model ID"
    r"|Uploaded +(?:\w+ +)?model|Sentence Transformer model)"
)
"""What a library calls a model: its folder, or its base. A person's title has words."""

_KEPT = frozenset({"license", "license_name", "license_link", "language", "datasets", "thumbnail"})
"""Metadata of such a card that may be a person's; the rest is drawn on elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """A heading, "" for what is before the first, and the lines below it."""

    level: int
    heading: str
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return re.sub(r"\s*\[optional\]", "", self.heading.lstrip("# ")).lower()


def is_generated(card: str) -> bool:
    """Return whether a library wrote a card, whatever a person wrote into it since."""
    return any(mark in card for mark in _MARKS)


def own_words(card: str, body: str) -> str:
    """Return what a person wrote into a card that a library began, "" for nothing.

    Args:
        card: All of it, with metadata.
        body: Without.
    """
    if any(mark in card for mark in _WHOLE):
        return ""
    by_unsloth = "[Unsloth](" in body
    text = _RESULTS.sub("", _COMMENT.sub("", _AXOLOTL.sub("", body)))
    kept: list[_Section] = []
    for section in _without_programs(text, of_st=_OF_ST in body):
        lines = [
            line
            for line in section.lines
            if not _LINES.fullmatch(line.strip())
            and not (by_unsloth and _UNSLOTH.fullmatch(line.strip()))
        ]
        heading = "" if _TITLE.fullmatch(section.heading) else section.heading
        kept.append(_Section(level=section.level, heading=heading, lines=tuple(lines)))
    return _joined(_with_words(kept))


def without_versions(body: str) -> str:
    """Return a person's text without the versions that peft appends to it when it saves."""
    return re.sub(r"\n+### Framework versions\s*\n+(?:- [\w ]+:? \d\S*\n*)+\Z", "\n", body)


def persons_metadata(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a library's card that a person may have written there."""
    kept = {name: value for name, value in head.items() if name in _KEPT}
    vague = kept.get("license") == "other" and not kept.get("license_name")
    if vague or "unsloth" in (head.get("tags") or ()):  # the same for every model
        for name in ("license", "license_name", "license_link"):
            kept.pop(name, None)
    return kept


def _sections(text: str) -> Iterator[_Section]:
    level, heading, lines, fenced = 0, "", list[str](), False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        match = None if fenced else _HEADING.fullmatch(line)
        if match is None:
            lines.append(line)
            continue
        yield _Section(level=level, heading=heading, lines=tuple(lines))
        level, heading, lines = len(match[1]), line, []
    yield _Section(level=level, heading=heading, lines=tuple(lines))


def _without_programs(text: str, *, of_st: bool) -> Iterator[_Section]:
    """Yield the sections but for those that a program wrote, and what is below those."""
    names = _ALWAYS | (_OF_SENTENCE_TRANSFORMERS if of_st else frozenset())
    above = 7
    for section in _sections(text):
        if section.level > above:
            continue
        above = section.level if section.level and section.name in names else 7
        if above == 7:
            yield section


def _with_words(sections: list[_Section]) -> list[_Section]:
    """Return the sections that say something themselves or in one below them."""
    kept: list[_Section] = []
    for section in reversed(sections):
        speaks = any(line.strip() for line in section.lines)
        if speaks or (kept and section.heading and kept[0].level > section.level):
            kept.insert(0, section)
    if all(not any(line.strip() for line in s.lines) for s in kept):
        return []
    return kept


def _joined(sections: list[_Section]) -> str:
    parts = []
    for section in sections:
        lines = "\n".join(section.lines).strip("\n")
        parts.append("\n\n".join(part for part in (section.heading, lines) if part.strip()))
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(part for part in parts if part)).strip()
