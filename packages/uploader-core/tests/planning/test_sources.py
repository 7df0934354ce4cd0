"""A plugin of somebody else reads a kind of folder that core knows nothing of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import ReaderSpec, SaveSpec, hookimpl

@hookimpl
def uploader_source_readers():
    yield ReaderSpec(name="brick", summary="bricks", kinds=("acme.brick",),
                     run="acme_NAME.work:read")

@hookimpl
def uploader_savers():
    yield SaveSpec(name="wall", summary="a wall of bricks", consumes=("acme.brick",),
                   produces="acme.wall", run="acme_NAME.work:save")
"""

WORK = """
from uploader_core.plugin import Artifact, ArtifactFile, Finding, SourceError, Sources

KIND = "acme.brick"

def read(context):
    folder = context.locate().path
    bricks = folder / "bricks.bin"
    if not bricks.is_file():
        return None
    size = bricks.stat().st_size
    if size == 0:
        raise SourceError(f"{bricks} holds no brick", next="bake some")
    file = ArtifactFile(name=bricks.name, size=size, sha256="", role="weights")
    artifact = Artifact(kind=KIND, path=folder, files=(file,))
    note = Finding(level="note", what="bricks are heavy")
    return Sources(kind=KIND, folder=folder, artifacts={KIND: artifact}, name="house",
                   findings=(note,))

def save(context):
    bricks = context.input(KIND)
    text = (bricks.path / "bricks.bin").read_text()
    context.output.write("wall.txt", text + bricks.files[0].sha256[:8])
    return context.artifact()
"""


@pytest.fixture
def add_reader(install: Callable[..., None]) -> Callable[..., None]:
    """Install a distribution that reads bricks, under a name and with another function."""

    def add(name: str = "brick", work: str = WORK, plugin: str = PLUGIN) -> None:
        package = f"acme_{name}"
        module = f"{package}.plugin"
        install(
            f"acme-{name}",
            {
                f"{package}.__init__": "",
                module: plugin.replace("NAME", name),
                f"{package}.work": work,
            },
            {"plugins": {name: module}, "readers": {name: module}},
        )

    return add


@pytest.fixture
def bricks(tmp_path: Path) -> Path:
    """A folder of that kind, which core would take for a model."""
    folder = tmp_path / "runs" / "final_model"
    folder.mkdir(parents=True)
    (folder / "bricks.bin").write_text("red")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    return folder


def plan(uploader: Any, *arguments: object) -> dict[str, Any]:
    result = uploader("plan", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_its_folder_is_released(
    uploader: Any, bricks: Path, add_reader: Callable[..., None]
) -> None:
    add_reader()
    result = uploader("run", bricks, "--plugins", "brick")
    assert result.returncode == 0, result.stderr
    wall = bricks.parent / "house" / "acme.wall" / "wall.txt"  # by the name that the reader gave
    assert wall.read_text() == "redb1f51a51"  # sources are hashed by the run
    before = wall.stat().st_mtime_ns
    again = uploader("run", bricks, "--plugins", "brick", "--json")
    assert again.returncode == 0 and wall.stat().st_mtime_ns == before
    (bricks / "bricks.bin").write_text("blue")
    assert uploader("run", bricks, "--plugins", "brick").returncode == 0
    assert wall.read_text().startswith("blue")


def test_its_kind_and_findings_are_in_the_plan(
    uploader: Any, bricks: Path, add_reader: Callable[..., None]
) -> None:
    add_reader()
    planned = plan(uploader, bricks, "--plugins", "brick")
    assert planned["source"]["kind"] == "acme.brick"
    assert planned["release"]["source"] == "acme.brick"
    assert [finding["what"] for finding in planned["findings"]] == ["bricks are heavy"]


@pytest.mark.usefixtures("notes_plugin")
def test_formats_of_other_sources_say_which_they_need(
    uploader: Any, bricks: Path, adapter: Path, add_reader: Callable[..., None]
) -> None:
    add_reader()
    result = uploader("plan", bricks, "--plugins", "notes")
    assert "notes needs adapter, and this source is of the kind acme.brick" in result.stderr
    result = uploader("plan", adapter, "--plugins", "brick")
    assert "brick needs acme.brick, and this source is of the kind adapter" in result.stderr


def test_its_own_refusal_is_shown(
    uploader: Any, bricks: Path, add_reader: Callable[..., None]
) -> None:
    add_reader()
    (bricks / "bricks.bin").write_bytes(b"")
    result = uploader("plan", bricks, "--plugins", "brick")
    assert result.returncode == 4, result.stderr
    assert "holds no brick" in result.stderr and "bake some" in result.stderr


def test_two_that_know_the_same_folder_are_named(
    uploader: Any, bricks: Path, add_reader: Callable[..., None]
) -> None:
    add_reader("brick")
    add_reader("stone")
    result = uploader("plan", bricks, "--plugins", "brick")
    assert result.returncode == 2
    assert "can be read by brick and by stone" in result.stderr
    assert "--without stone" in result.stderr
    plan(uploader, bricks, "--plugins", "brick", "--without", "stone")


@pytest.mark.usefixtures("notes_plugin")
@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({"work": "def read(context):\n    return 1 / 0\n"}, "ZeroDivisionError"),
        ({"work": "def read(context):\n    return 'a folder'\n"}, "did not return Sources"),
        ({"work": "import nothing_like_this\n"}, "No module named 'nothing_like_this'"),
        ({"plugin": "import nothing_like_this\n"}, "No module named 'nothing_like_this'"),
        ({"plugin": PLUGIN.replace('("acme.brick",),', '"acme.brick",', 1)}, "tuple of kinds"),
    ],
)
def test_broken_reader_is_left_out_with_a_warning(
    uploader: Any, adapter: Path, add_reader: Callable[..., None], broken: dict[str, str], what: str
) -> None:
    add_reader(**broken)
    (warning,) = plan(uploader, adapter, "--plugins", "notes")["findings"]
    assert warning["level"] == "warning"
    assert what in warning["what"] and "acme-brick" in warning["what"]


@pytest.mark.usefixtures("notes_plugin")
def test_without_any_reader_it_says_how_to_get_one_back(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "notes", "--without", "local")
    assert result.returncode != 0
    assert f"no plugin can read {adapter}" in result.stderr
    assert "take it out of --without" in result.stderr


@pytest.mark.usefixtures("notes_plugin")
def test_reading_needs_no_permission(uploader: Any, adapter: Path) -> None:
    (uploader.cwd / "uploader.toml").write_text('[plugins]\nallow = ["notes"]\n')
    plan(uploader, adapter, "--plugins", "notes")


def test_readers_are_listed(uploader: Any, add_reader: Callable[..., None]) -> None:
    add_reader()
    rows = json.loads(uploader("plugins", "list", "--json").stdout)
    assert {row["id"] for row in rows if "sources" in row["offers"]} >= {"local", "brick"}
