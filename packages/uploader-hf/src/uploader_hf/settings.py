"""Settings of the plugin ``hf``."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSettings:
    """Settings of the destination ``hf:``."""

    layout: str = setting(
        "separate",
        help="one repository per format, or a single one with a folder each",
        choices=("separate", "single"),
    )
    public: bool = setting(False, help="publish for everybody; otherwise repositories are private")
    revision: str = setting("main", help="branch that receives the commit; made when missing")
    message: str = setting("Release by uploader", help="message of the commit")
    timeout: float = setting(60.0, help="seconds without any answer before a request is repeated")
