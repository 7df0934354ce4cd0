"""Write docs/chat-templates.md: what becomes of chat templates that packages ship.

    python tools/chat_templates.py

TRL's templates are those that are installed; llama.cpp's are those in the folder that
``UPLOADER_LLAMA_CPP_TEMPLATES`` names. ``nox -s chat_templates`` has both.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import importlib_metadata

from uploader_core.plugin import RefusedError
from uploader_gguf.chat_template.notes import NOTES
from uploader_gguf.chat_template.rewrites import BY_NAME
from uploader_gguf.llama_cpp import library

ROOT = Path(__file__).parent.parent
SUPPORT = ROOT / "packages" / "uploader-gguf" / "tests" / "support"
PAGE = ROOT / "docs" / "chat-templates.md"
_MARK = "<!-- written by tools/chat_templates.py, from here on -->"


@dataclass(frozen=True)
class Result:
    """What became of a template.

    Attributes:
        name: With where it is from.
        rewritten: Names of rewrites.
        notes: Kinds, with the conversations of each.
        refused: Why; "" when it is not.
    """

    name: str
    rewritten: tuple[str, ...] = ()
    notes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    refused: str = ""


def main() -> None:
    """Settle every template, and replace what follows the mark of the page."""
    sys.path.insert(0, str(SUPPORT))  # the model and the templates of the tests
    from gguf_published import published
    from gguf_templates import chat_model

    logging.disable(logging.WARNING)
    os.environ.pop("NODE_PATH", None)  # the page is of two engines
    with tempfile.TemporaryDirectory() as place:
        chat = chat_model(Path(place))
        results = [result(chat, name, template) for name, template in published().items()]
    head = PAGE.read_text("utf-8").partition(_MARK)[0]
    PAGE.write_text(f"{head}{_MARK}\n\n" + "\n".join(page(results)) + "\n", "utf-8")


def result(chat: Any, name: str, template: str) -> Result:
    """Settle one template."""
    try:
        record = chat.settle(template).record
    except RefusedError as error:
        return Result(name, refused=error.what.partition(":")[0])
    assert record is not None
    notes = tuple((note["kind"], tuple(note["probes"])) for note in record["notes"])
    return Result(name, tuple(record["rewritten"]), notes)


def page(results: list[Result]) -> Iterator[str]:
    """Yield the lines of the two tables."""
    trl = importlib_metadata.version("trl")
    transformers = importlib_metadata.version("transformers")
    yield (
        f"Run with transformers {transformers} and {library.version()} on {len(results)} templates:"
        f" those of TRL {trl}, and `models/templates` of llama.cpp. Of them"
        f" {sum(not any((r.rewritten, r.notes, r.refused)) for r in results)} have nothing to be"
        f" said, {sum(bool(r.refused) for r in results)} refused."
    )
    yield ""
    yield "| kind | what is said or done | templates |"
    yield "| --- | --- | ---: |"
    for name, said in BY_NAME.items():
        yield f"| {name} | rewritten: {said} | {sum(name in r.rewritten for r in results)} |"
    for kind, said in NOTES.items():
        if kind != "transformers.js":
            count = sum(kind in dict(r.notes) for r in results)
            yield f"| {kind} | {said} | {count} |"
    yield f"| - | refused | {sum(bool(r.refused) for r in results)} |"
    yield ""
    yield "| template | rewritten | named: conversations of 10 | refused |"
    yield "| --- | --- | --- | --- |"
    for one in results:
        notes = ", ".join(f"{kind} {len(probes)}" for kind, probes in one.notes)
        yield f"| {one.name} | {', '.join(one.rewritten)} | {notes} | {one.refused} |"


if __name__ == "__main__":
    main()
