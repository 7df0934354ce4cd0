"""Before anything is made: whether a release may go where it shall go. Not legal advice.

What a licence forbids is refused with its clause; what it asks of people is said as a warning. A
licence that is not known is never taken for a permissive one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from uploader_core.plugin import Finding, PlanContext
from uploader_provenance.licences.said import SaidLicence, licences_said
from uploader_provenance.licences.terms import Terms, terms_of

OPTION = "--provenance-licence-override"
_NO_ADVICE = "(this is not legal advice)"
_HERE = re.compile(r"dir:(?!(?!file:)[a-z][a-z0-9+.-]*://)|ollama:", re.IGNORECASE)
"""Targets on this machine or in this network: folders and no buckets, and the Ollama here."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Say what the licences of base and fine-tune have to do with this release."""
    said = licences_said(context.sources, context.release)
    places = _places(context.uploads)
    reason = context.settings.licence_override
    found = [*findings(said, places, context.release.name)]
    for finding in found:
        if reason and finding.level == "error":
            yield Finding(
                level="warning", what=f"{finding.what}; overruled with {OPTION}: {reason}"
            )
        else:
            yield finding
    if reason and not any(finding.level == "error" for finding in found):
        yield Finding(level="note", what=f"{OPTION} was not needed: no licence forbids this")


def findings(said: SaidLicence, places: Mapping[str, bool], name: str) -> Iterator[Finding]:
    """Yield what is wrong or worth knowing.

    Args:
        said: What the cards say.
        places: Where the release goes, and whether others may be able to read it there.
        name: Of the release.
    """
    published = [place for place, others_read in places.items() if others_read]
    if not said.base:
        if not said.has_base:
            return  # a model of the user's own, whatever its licence
        yield Finding(
            level="warning",
            what="the licence of the base model is not known, so what is made of it is taken for "
            f"restricted {_NO_ADVICE}",
            next="look at the base's page, and say `license:` at the top of the base's README.md",
        )
        return
    terms = terms_of(said.base)
    of_text = terms_of(said.text) if said.text else None
    if of_text is not None and of_text != terms:
        yield Finding(
            level="warning",
            what=f"the base's README.md says `license: {said.base}`, and the text in its folder is "
            f"{of_text.title} {_NO_ADVICE}",
            next="ask the base's page which of them holds; the stricter one is taken here",
        )
        terms = of_text if terms is None or terms.carries is None else terms
    if terms is None:
        yield Finding(
            level="warning",
            what=f"the licence of the base model, {said.base}, is not in our table: what it allows "
            f"is not checked {_NO_ADVICE}",
            next=said.base_link or "read it before you publish what is made of the model",
        )
        return
    yield from _sharing(terms, places, published)
    yield from _carried(terms, said, published)
    if published:
        yield from _files(terms, said, published)
        yield from _name(terms, name)
    if terms.no_commerce:
        what = f"{terms.title} ({terms.no_commerce}) forbids commercial use of what is made of it"
        yield Finding(level="note", what=f"{what} {_NO_ADVICE}", next=terms.url)


def _places(uploads: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Return where a release goes, and whether others may be able to read it there.

    A destination that can be private has the setting ``public``; who reads at another is not known.
    An Ollama on another machine has to be allowed by the setting ``remote``.
    """
    return {
        place: bool(settings.get("public", True))
        and (_HERE.match(place) is None or bool(settings.get("remote")))
        for place, settings in uploads.items()
    }


def _sharing(terms: Terms, places: Mapping[str, bool], published: list[str]) -> Iterator[Finding]:
    if terms.sharing == "yes" or not places:
        return
    what = (
        f"the base model is under {terms.title}, which does not let others have what is made of it "
        f"({terms.sharing_clause})"
    )
    if published:
        yield Finding(
            level="error",
            what=f"{what}, and {published[0]} may be read by others {_NO_ADVICE}",
            next=f"leave that destination out, make it private, or {OPTION} REASON if you have "
            f"another permission; the text: {terms.url}",
        )
    else:
        yield Finding(level="warning", what=f"{what}: keep it to yourself {_NO_ADVICE}")


def _carried(terms: Terms, said: SaidLicence, published: list[str]) -> Iterator[Finding]:
    if terms.carries is None or not said.own or said.own == said.base:
        return
    own = terms_of(said.own)
    if own is not None and own.name in terms.carries:
        return
    what = (
        f"README.md of the fine-tune says `license: {said.own}`, and the base model is under "
        f"{terms.title}, which has to stay with what is made of it ({terms.carries_clause})"
    )
    if own is None:
        yield Finding(
            level="warning",
            what=f"{what}; whether {said.own} does that is not known {_NO_ADVICE}",
            next=terms.url,
        )
        return
    yield Finding(
        level="error" if published else "warning",
        what=f"{what} {_NO_ADVICE}",
        next=f"write `license: {terms.name}` at the top of README.md in the folder of the "
        f"fine-tune, or {OPTION} REASON; the text: {terms.url}",
    )


def _files(terms: Terms, said: SaidLicence, published: list[str]) -> Iterator[Finding]:
    """Miss the licence's text, where it is no standard one that everybody can look up."""
    if not terms.copy_clause or terms.spdx:
        return
    if any(name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) for name in said.files):
        return
    yield Finding(
        level="error",
        what=f"{terms.title} wants a copy of itself to go with what is made of the model "
        f"({terms.copy_clause}); the base's folder has none, and {published[0]} may be read by "
        f"others {_NO_ADVICE}",
        next=f"save the text of {terms.url} as LICENSE in the folder of the fine-tune, "
        f"or {OPTION} REASON",
    )


def _name(terms: Terms, name: str) -> Iterator[Finding]:
    plain = terms.prefix.lower().replace(" ", "-")
    if plain and not name.lower().replace(" ", "-").replace("_", "-").startswith(plain):
        yield Finding(
            level="warning",
            what=f"{terms.title} wants the name of a published model to begin with "
            f"{terms.prefix!r} ({terms.prefix_clause}) {_NO_ADVICE}",
            next=f"--name {terms.prefix.replace(' ', '-')}-{name}, or a target of such a name",
        )
