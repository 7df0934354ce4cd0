"""Draw ``docs/images/run.svg``: a real run on a real terminal, as its screen looked at the end.

The models are those of the demo. The base is on the Hub too, as that of a real adapter would be.
``nox -s picture`` makes the demo first. Alone it is ``python docs/picture.py DEMO OUT [WORK]``,
where WORK is the folder to run in; it is seen in the picture, and removed.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pexpect
import pyte

from loopback_hub import LoopbackHub

COLUMNS, LINES = 88, 100
WIDTH, HEIGHT, MARGIN, BAR = 8.4, 18.0, 18.0, 34.0
SIZE = 14
COMMAND = "run outputs/final_model --plugins lora,merged,gguf --to hf:me/harbour"
BASE = "valley/tiny-llama"
# Light, dark; text on the two grounds has a contrast of at least 4.5 to 1.
COLOURS = {
    "ground": ("#ffffff", "#16181d"),
    "frame": ("#d0d7de", "#3a3f4b"),
    "text": ("#1f2328", "#e6e6e6"),
    "dim": ("#656d76", "#9aa4b2"),
    "red": ("#b42318", "#ff7b72"),
    "green": ("#1a7f37", "#56d364"),
    "brown": ("#8a6100", "#e3b341"),  # pyte's word for yellow
    "blue": ("#0550ae", "#79c0ff"),
    "magenta": ("#8250df", "#d2a8ff"),
    "cyan": ("#1b7c83", "#56d4dd"),
}


class Screen(pyte.Screen):
    """pyte's screen, which forgets what is dim."""

    def select_graphic_rendition(self, *attributes: int, **options: Any) -> None:
        super().select_graphic_rendition(*(90 if a == 2 else a for a in attributes), **options)


def record(demo: Path, work: Path) -> Screen:
    """Run the command on what the demo trained, against a Hub on this machine."""
    shutil.copytree(demo / "run" / "final_model", work / "outputs" / "final_model")
    config = work / "outputs" / "final_model" / "adapter_config.json"
    data = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps(data | {"base_model_name_or_path": BASE}), encoding="utf-8")
    screen = Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    stream.feed(f"\x1b[2m$\x1b[0m \x1b[1muploader {COMMAND}\x1b[0m\r\n\r\n")
    with tempfile.TemporaryDirectory() as aside, LoopbackHub(Path(aside) / "hub") as hub:
        _publish_base(demo / "base-model", hub)
        child = pexpect.spawn(
            sys.executable, ["-m", "uploader_core", *COMMAND.split()], cwd=str(work),
            dimensions=(LINES, COLUMNS), encoding="utf-8", timeout=600,
            env={**os.environ, "TERM": "xterm-256color", "HF_ENDPOINT": hub.url,
                 "HF_TOKEN": hub.token("me"), "HF_HOME": str(Path(aside) / "hf-home")},
        )  # fmt: skip
        asked = False
        with contextlib.suppress(pexpect.EOF):
            while True:
                stream.feed(child.read_nonblocking(65536, timeout=600))
                if not asked and any("Go ahead?" in line for line in screen.display):
                    asked = True
                    child.send("\r")
        child.close()
    shutil.rmtree(work)
    if child.exitstatus != 0:
        sys.exit("\n".join(line.rstrip() for line in screen.display))
    return screen


def _publish_base(folder: Path, hub: LoopbackHub) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("valley"))
    api.create_repo(BASE)
    api.upload_folder(repo_id=BASE, folder_path=folder)
    card = b"---\nlicense: apache-2.0\n---\n"
    api.upload_file(repo_id=BASE, path_in_repo="README.md", path_or_fileobj=card)


def rows(screen: Screen) -> list[list[tuple[str, str, bool]]]:
    """Return lines of (text, colour, bold), without the empty ones at the end."""
    lines = []
    for number in range(screen.lines):
        line = [screen.buffer[number][column] for column in range(screen.columns)]
        while line and line[-1].data == " ":
            line.pop()
        lines.append(list(spans(line)))
    while lines and not lines[-1]:
        lines.pop()
    return lines


def spans(line: Iterable[Any]) -> Iterator[tuple[str, str, bool]]:
    """Join neighbours that look the same."""
    for (colour, bold), cells in groupby(line, key=lambda c: (_colour(c.fg), c.bold)):
        yield "".join(cell.data for cell in cells), colour, bold


def _colour(name: str) -> str:
    if name in ("default", "white", "brightwhite"):
        return "text"
    if name in ("brightblack", "black"):
        return "dim"
    return name.removeprefix("bright") if name.removeprefix("bright") in COLOURS else "text"


def draw(lines: list[list[tuple[str, str, bool]]], title: str) -> str:
    """Return the SVG; it follows the reader's choice of light or dark."""
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    height = round(len(lines) * HEIGHT + BAR + MARGIN)
    light, dark = (
        "".join(f".{name}{{fill:{pair[theme]}}}" for name, pair in COLOURS.items())
        for theme in (0, 1)
    )
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(title)}">',
        "<style>text{font:" + f"{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"
        "'DejaVu Sans Mono',monospace;white-space:pre}.b{font-weight:bold}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}</style>",
        f'<rect class="frame" width="{width}" height="{height}" rx="8"/>',
        f'<rect class="ground" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="7"/>',
    ]
    for x, colour in zip((20, 38, 56), ("red", "brown", "green"), strict=True):
        out.append(f'<circle class="{colour}" cx="{x}" cy="18" r="5.5"/>')
    for number, line in enumerate(lines):
        y = BAR + MARGIN / 2 + (number + 0.5) * HEIGHT
        column = 0
        for text, colour, bold in line:
            if text.strip():
                lead = len(text) - len(text.lstrip())
                shown = text.strip()
                x = MARGIN + (column + lead) * WIDTH
                # The length is given, so that columns stay columns in whatever font there is.
                out.append(
                    f'<text class="{colour}{" b" if bold else ""}" x="{x:.1f}" y="{y:.1f}" '
                    f'textLength="{len(shown) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
                    f"{html.escape(shown)}</text>"
                )
            column += len(text)
    return "\n".join([*out, "</svg>", ""])


def main(demo: Path, target: Path, work: Path) -> None:
    """Record and draw."""
    if work.exists():
        sys.exit(f"{work} exists")
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # which the Hub of tests answers with "not here"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(rows(record(demo, work)), f"uploader {COMMAND}"), encoding="utf-8")


if __name__ == "__main__":
    where = Path(sys.argv[1]).absolute()
    main(where, Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else where / "picture")
