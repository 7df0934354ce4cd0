"""Put the page into the release folder."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from uploader_core.disk.safe_write import write_bytes
from uploader_core.page.content import body
from uploader_core.page.markup import Markup, element, text
from uploader_core.running.report import Report

NAME = "report.html"

# Nothing is loaded and nothing runs, whatever a name or a card may say.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(report: Report, events: Path) -> str:
    """Return the page.

    Args:
        report: Of the run.
        events: Its log.
    """
    return document(f"{report.plan.release.name} — uploader", body(report, events))


def document(title: str, content: Markup) -> str:
    """Return a page of its own, to which nothing is loaded.

    Args:
        title: Of the page.
        content: What is on it.
    """
    style = resources.files("uploader_core.page").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"{element('title', title)}<style>{style}</style></head><body>{element('main', content)}"
        "</body></html>\n"
    )


def write_page(report: Report, folder: Path, events: Path, scratch: Path) -> Path:
    """Write ``report.html`` by the write protocol.

    Args:
        report: Of the run.
        folder: The release folder.
        events: Log of the run.
        scratch: Private folder on the same file system.

    Raises:
        UploaderError: It cannot be written.
    """
    path = folder / NAME
    write_bytes(path, render(report, events).encode("utf-8", "replace"), scratch=scratch)
    return path
