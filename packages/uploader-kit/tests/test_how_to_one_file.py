"""docs/how-to/one-file.md, done by the letter: its file is written, its commands are typed."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from stranger import Stranger
from uploader_core.errors import UsageError
from uploader_core.plugins.registry import Registry
from uploader_kit.one_file import write_from

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "one-file.md"
BLOCK = re.compile(r'^```(bash|python title="(.+?)")\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(os.name == "nt", reason="its commands are typed into a POSIX shell")
def test_page(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path)
    folder = stranger.cwd
    said = {}
    for kind, title, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if kind != "bash":
            (folder / title).write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            if line.startswith("cd "):
                folder /= line.removeprefix("cd ")
                continue
            if line.startswith("pip install -e") and not find_spec("editables"):
                line = line.replace(" -e", "")
            said[line] = stranger.types(line, folder)
    assert len(said) == 8
    count = stranger.cwd / "release" / "acme.count" / "count.json"
    assert json.loads(count.read_text("utf-8")) == {"BF16": 8}
    assert re.search(r"(\d+) of \1 checks are fine", said["uploader plugins check my_format.py"])
    assert re.search(r"\d\d passed", said["pytest"])


UPLOAD = """
from uploader_core.plugin import DocumentSpec, UploadSpec, hookimpl

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="to a place", scheme="place", run=f"{__name__}:send")

@hookimpl
def uploader_documenters():
    yield DocumentSpec(name="list.it", summary='a "list"', output="LIST", run="my_place:listed")
"""


def test_destination_of_one_file_becomes_a_distribution(tmp_path: Path) -> None:
    file = tmp_path / "my_place.py"
    file.write_text(UPLOAD, "utf-8")
    folder = write_from(file, tmp_path, Registry)
    project = (folder / "pyproject.toml").read_text("utf-8")
    assert '"place" = "uploader_my_place.plugin"' in project
    assert '[project.entry-points."uploader_core.documents"]' in project
    assert "description = \"a 'list'\"" in project
    plugin = (folder / "src" / "uploader_my_place" / "plugin.py").read_text("utf-8")
    assert '"uploader_my_place.plugin:listed"' in plugin
    tests = (folder / "tests" / "test_conformance.py").read_text("utf-8")
    assert "class TestListIt(DocumentConformance):" in tests
    assert "UploadConformance" in tests
    with pytest.raises(UsageError, match="exists"):
        write_from(file, tmp_path, Registry)


@pytest.mark.parametrize("more", [["name"], ["--document"], ["--consumes", "adapter"]])
def test_from_a_file_takes_nothing_besides(tmp_path: Path, more: list[str]) -> None:
    from click.testing import CliRunner

    from uploader_kit.commands import new

    result = CliRunner().invoke(new, [*more, "--from", "x.py", "--into", str(tmp_path)])
    assert "takes name, kinds and scheme from the file" in str(result.exception)


def test_new_without_a_name_is_refused(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from uploader_kit.commands import new

    result = CliRunner().invoke(new, ["--into", str(tmp_path)])
    assert "has no name" in str(result.exception)
