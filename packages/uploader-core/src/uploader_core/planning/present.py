"""What is in the release folder already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """What is in a release folder already.

    Attributes:
        made: By step that need not run: names and sizes of its files.
        finished: By step that has to run: bytes of files that an interrupted attempt finished and
            that are kept.
        replaced: By step that has to run: bytes of files of an earlier release that go away when
            the step is done.
        left_over: Bytes of half-written files that a killed run left; the next run removes them
            before it writes anything.
    """

    made: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)
    replaced: Mapping[str, int] = field(default_factory=dict)
    left_over: int = 0
