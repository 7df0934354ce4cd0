"""What may be lost at most, as the options say it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.errors import UsageError
from uploader_core.fidelity import Loss

ANY = "any"
"""Says that a format or model may lose what it likes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of one option.

    Attributes:
        option: That sets them.
        values: By ``KIND``, ``KIND/NAME``, and "" for all others; None for no limit.
    """

    option: str
    values: Mapping[str, float | None]

    @classmethod
    def read(cls, option: str, words: Iterable[str]) -> Limits:
        """Read an option's values.

        Raises:
            UsageError: One is no limit, or a format has two.
        """
        values: dict[str, float | None] = {}
        for word in words:
            name, _, value = word.strip().rpartition("=")
            if name in values:
                raise _wrong(option, word, "there is a limit for it already")
            values[name] = None if value.strip().lower() == ANY else _number(option, word, value)
        return cls(option=option, values=values)

    def of(self, loss: Loss) -> float | None:
        """Return the limit of one model, None where it has none."""
        for name in (f"{loss.kind}/{loss.name}", loss.kind, ""):
            if name in self.values:
                return self.values[name]
        return None

    def apply_to(self, kind: str) -> bool:
        """Return whether anything of a format has a limit."""
        names = [n for n in self.values if n.partition("/")[0] == kind]
        if "" in self.values and kind not in names:
            names.append("")
        return any(self.values[name] is not None for name in names)

    def unknown(self, kinds: Iterable[str]) -> list[str]:
        """Return the formats that have a limit and are not among those that there are."""
        known = {*kinds}
        return sorted({n.partition("/")[0] for n in self.values if n} - known)


def limits_of(settings: Any) -> tuple[Limits, Limits]:
    """Return the limits of the divergence, and of the rise of the perplexity.

    Raises:
        UsageError: One cannot be read.
    """
    return (
        Limits.read("--max-kl", settings.kl),
        Limits.read("--max-perplexity-rise", settings.perplexity_rise),
    )


def is_asked_for(settings: Any) -> bool:
    """Return whether there is a limit."""
    return bool(settings.kl or settings.perplexity_rise)


def _number(option: str, word: str, text: str) -> float:
    text = text.strip()
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise _wrong(option, word, "it is no number from zero on")
    return value


def _wrong(option: str, word: str, why: str) -> UsageError:
    example = "0.05" if option == "--max-kl" else "2%"
    return UsageError(
        f"{option} {word}: {why}",
        owner=f"option {option}",
        safe="nothing was started",
        next=f"{option} {example}, {option} gguf={example}, {option} gguf/Q4_K_M={example} "
        f"or {option} gguf={ANY}",
    )
