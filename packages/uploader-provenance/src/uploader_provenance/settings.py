"""Settings of the bills of materials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class BomSettings:
    """Settings of what is said about the parts of a release, and of what their licences allow."""

    POLICY: ClassVar = ("licence_override",)

    licence_override: str = setting(
        "", help="why a release that a licence forbids is right all the same; it is recorded"
    )
    spdx: bool = setting(False, help="write spdx.json as well, in the AI profile of SPDX 3.0.1")
    date: str = setting(
        "",
        help="date of spdx.json (2026-11-29 or 2026-11-29T12:00:00Z); otherwise that of "
        "SOURCE_DATE_EPOCH, or none that means anything",
    )
