"""The error with which ``uploader reproduce`` ends where something differs."""

from __future__ import annotations

from uploader_core.plugin import IntegrityError


class NotReproducedError(IntegrityError):
    """What was rebuilt is not bit for bit what was published."""

    exit_code = 10
    error_id = "UPL-NOT-REPRODUCED"
