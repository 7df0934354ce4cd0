"""With what a run works, so that several runs of one process can share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uploader_core.release.source_digests import SourceDigests
from uploader_core.workers.pool import Workers


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a run works with and several runs may share.

    Attributes:
        workers: Makes its worker processes.
        digests: Makes its memory of what was hashed.
    """

    workers: Callable[..., Workers] = Workers
    digests: Callable[..., SourceDigests] = SourceDigests


ALONE = Means()
