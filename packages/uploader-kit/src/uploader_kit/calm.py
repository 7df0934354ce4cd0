"""An upload that went well, and what is seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_kit.trial import Trial
from uploader_kit.watched import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Calm:
    """An upload that nobody disturbed, for the checks that only look at it.

    Attributes:
        result: What became of it.
        trial: What was sent.
        before: Names at the destination before it.
        there: What was there after it.
        changed: Files of the release that were changed meanwhile.
    """

    result: Result
    trial: Trial
    before: tuple[str, ...]
    there: Mapping[str, str]
    changed: tuple[str, ...]


def receipt_of(result: Result) -> Mapping[str, Any]:
    """Return the receipt; the upload's own error when there is none."""
    if result.error is not None:
        raise result.error
    receipt: Mapping[str, Any] = result.value
    return receipt
