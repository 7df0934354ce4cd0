"""The tutorial, done by the letter: every command is run, every file is written."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from stranger import Stranger

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(bash|python title="(.+?)")\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(os.name == "nt", reason="its commands are typed into a POSIX shell")
def test_tutorial(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path)
    folder = stranger.cwd
    commands = []
    for kind, title, text in BLOCK.findall(TUTORIAL.read_text("utf-8")):
        if kind != "bash":
            assert (folder / title).is_file(), f"{title} is not what plugins new wrote"
            (folder / title).write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            if line.startswith("cd "):
                folder /= line.removeprefix("cd ")
            elif line.startswith("pip install -e") and not find_spec("editables"):
                stranger.types(line.replace(" -e", ""), folder)
            else:
                commands.append(line)
                stranger.types(line, folder)
    assert [path.name for path in stranger.cwd.iterdir()] == ["uploader-inventory"]
    assert len(commands) == 9
    release = folder / "release"
    inventory = json.loads((release / "acme.inventory" / "inventory.json").read_text("utf-8"))
    assert len(inventory) == 8
    assert all(len(tensor["sha256"]) == 64 for tensor in inventory.values())
    manifest = json.loads((release / "upload_manifest.json").read_text("utf-8"))
    assert "acme.inventory/inventory.json" in {file["path"] for file in manifest["files"]}
