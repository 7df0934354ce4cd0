"""``report.html``: what a run came to, on one page that needs no network."""

from __future__ import annotations

from uploader_core.page.write import NAME, write_page

__all__ = ["NAME", "write_page"]
