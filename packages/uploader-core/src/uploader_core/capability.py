"""What a destination can do: a word, how well, and since which version of its distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

KNOWN = {
    "private": "a release can be kept from everybody but its owners",
    "atomic": "nobody sees a release of which only a part is there",
    "resume": "an upload that broke off goes on where it was",
    "revision": "each release has an address of its own, which stays",
}
"""Words that core and the conformance kit act on. A plugin may use others of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capability:
    """Something that a destination can do, or says that it cannot.

    Attributes:
        name: One of :data:`KNOWN`, or a word of the plugin's own.
        degree: ``full``, ``partial``, or ``none``. What is not declared is not known.
        since: Version of the plugin's distribution that had it first; "" for every one.
        note: What is missing, one sentence without a full stop.
    """

    name: str
    degree: Literal["full", "partial", "none"] = "full"
    since: str = ""
    note: str = ""

    def __str__(self) -> str:
        """The word, and what keeps it from being all of it."""
        degree = {"full": "", "partial": "partly", "none": "not"}[self.degree]
        since = f"since {self.since}" if self.since else ""
        more = ", ".join(part for part in (degree, since, self.note) if part)
        return f"{self.name} ({more})" if more else self.name


def declared(capabilities: Iterable[str | Capability]) -> dict[str, Capability]:
    """Return what a destination declares by name; a bare word is a full capability."""
    found = (Capability(name=c) if isinstance(c, str) else c for c in capabilities)
    return {capability.name: capability for capability in found}
