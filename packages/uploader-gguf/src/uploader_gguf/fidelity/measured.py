"""What was seen of one file, context by context, whoever saw it and in whichever run. Heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uploader_core.plugin import StepContext
from uploader_merged.fidelity.held_out import piece_name
from uploader_merged.fidelity.kept import keep, read_kept
from uploader_merged.fidelity.sums import Seen, Sums


class Measured:
    """The contexts of a file that were measured, each kept as a part of the step.

    Args:
        context: Of the step.
        file: Its name.
        of: What tells these numbers from others: digests of file and text, versions.

    Attributes:
        seen: Of the reference and of the file, from the first context on.
    """

    def __init__(self, context: StepContext, file: str, of: Sequence[str]) -> None:
        self._context, self._file = context, file
        self._of = hashlib.sha256(json.dumps(of).encode("ascii")).hexdigest()
        self.seen: list[Seen] = []
        while len(self.seen) < context.settings.measure_contexts:
            found = read_kept(context, self._next(), self._of)
            if found is None:
                break
            self.seen.append(found)

    def add(self, seen: Seen) -> None:
        """Keep what was seen of the next context."""
        keep(self._context, self._next(), self._of, seen)
        self.seen.append(seen)

    def _next(self) -> str:
        return f"{piece_name(len(self.seen))}.{self._file}"


def numbers_of(seen: Iterable[Sums], speed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a file.

    Args:
        seen: Of its contexts.
        speed: As :func:`uploader_gguf.fidelity.child.compare` says it.
    """
    whole = Sums(seconds=speed["seconds"], tokens=speed["tokens"])
    for part in seen:
        whole.add(part)
    name = "generation_tokens_per_second"
    return {**whole.numbers(), name: speed[name]}
