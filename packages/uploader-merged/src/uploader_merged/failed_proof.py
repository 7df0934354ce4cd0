"""The error of every proof of what was written."""

from __future__ import annotations

from uploader_core.plugin import IntegrityError


def failed_proof(what: str) -> IntegrityError:
    """Return the error of a proof that failed.

    Args:
        what: Which proof, at which tensor, and why.
    """
    return IntegrityError(
        what,
        owner="the disk, the memory, or a fault of uploader-merged",
        safe="no artifact was released",
        next="run it again; if it fails at the same place, report it with this line",
    )
