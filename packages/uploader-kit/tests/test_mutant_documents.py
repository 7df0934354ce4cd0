"""Documents that break one rule each, and what the kit says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kit_plugins import failed_checks, told
from uploader_kit import DocumentConformance

pytestmark = pytest.mark.usefixtures("home")

DOCUMENT = """
import os, socket, time
from pathlib import Path
from uploader_core.plugin import DocumentSpec, hookimpl

@hookimpl
def uploader_documenters():
    yield DocumentSpec(name="x", summary="x", {place}, run="acme_{name}:write")

def write(context):
    {body}
"""
SECTION, FILE = 'section="What is in it"', 'output="NOTES.md"'
WRITTEN = 'context.output.write("NOTES.md", {}, role="document"); return context.artifact()'

# Where the document goes, what the plugin does, and the checks that say so.
DOCUMENTS = {
    "section": (SECTION, "return 'words'", set()),
    "file": (FILE, WRITTEN.format("'words'"), set()),
    "mute": (FILE, WRITTEN.format("' '"), {"document is written"}),
    "nothing": (SECTION, "return ''", {"document is written"}),
    "crash": (
        SECTION,
        "raise ValueError('as told')",
        {"document is written", "document of an unknown artifact does not fail"},
    ),
    "picky": (
        SECTION,
        "return str(1 / len(context.inputs[0].metadata))",
        {"document of an unknown artifact does not fail"},
    ),
    "path": (
        SECTION,
        "return str(context.inputs[0].path)",
        {"document tells nothing about this machine"},
    ),
    "clock": (
        FILE,
        WRITTEN.format("str(time.time_ns())"),
        {"document is the same the second time"},
    ),
    "afield": (
        FILE,
        "Path.home().joinpath('x').write_text('x'); " + WRITTEN.format("'words'"),
        {"nothing is written elsewhere and no network is used"},
    ),
    "aside": (
        FILE,
        "context.output.path.mkdir(parents=True); (context.output.path / 'extra').write_text('x'); "
        + WRITTEN.format("'words'"),
        {
            "document is written",
            "document is the same the second time",
            "document tells nothing about this machine",
        },
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document(install: Callable[..., None], name: str) -> None:
    place, body, wanted = DOCUMENTS[name]
    install(
        f"acme-{name}",
        {f"acme_{name}": DOCUMENT.format(name=name, place=place, body=body)},
        {"plugins": {name: f"acme_{name}"}, "documents": {name: f"acme_{name}"}},
        requires="uploader-core>=0.1,<1",
    )
    case = type("X", (DocumentConformance,), {"plugin": name, "kinds": ("adapter",)})
    assert set(failed_checks(case)) == wanted


SAME = "document is the same the second time"
NOTHING = "document tells nothing about this machine"
TOLD = {
    "hour": ("str(time.strftime('%H'))", SAME, "Cause: only the clock was another"),
    "order": ("' '.join({'a', 'b', 'c', 'd', 'e'})", SAME, "PYTHONHASHSEED"),
    "host": ("socket.gethostname()", SAME, "only the names of host and user were others"),
    "home": ("str(Path.home() / 'x')", NOTHING, "has the home folder"),
}


@pytest.mark.parametrize("name", TOLD)
def test_wrong_document_is_told_its_rule_and_place(install: Callable[..., None], name: str) -> None:
    text, check, words = TOLD[name]
    body = WRITTEN.format(text)
    install(
        f"acme-{name}",
        {f"acme_{name}": DOCUMENT.format(name=name, place=FILE, body=body)},
        {"plugins": {name: f"acme_{name}"}, "documents": {name: f"acme_{name}"}},
        requires="uploader-core>=0.1,<1",
    )
    said = told(type("X", (DocumentConformance,), {"plugin": name, "kinds": ("adapter",)}), check)
    assert "NOTES.md" in said
    assert words in said
