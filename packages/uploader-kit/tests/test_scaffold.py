"""``uploader plugins new``: a distribution that is green before its first edit."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

import uploader_core
from stranger import Stranger
from uploader_kit.fixtures import make_adapter, make_model

CORE = Path(uploader_core.__file__).parent


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


def sources(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


SORTS = {
    "format": ("--produces", "acme.shapes"),
    "saver": ("--consumes", "adapter", "--produces", "acme.shapes"),
    "of checkpoints": ("--consumes", "checkpoint", "--produces", "acme.shapes"),
    "destination": ("--destination", "shapes"),
    "document": ("--document",),
}


@pytest.mark.parametrize("sort", SORTS)
def test_from_new_to_green_in_three_commands_and_a_minute(stranger: Stranger, sort: str) -> None:
    core = sources(CORE)
    started = time.process_time() + sum(os.times()[2:4])

    stranger("uploader_core", "plugins", "new", "shapes", *SORTS[sort])
    assert [path.name for path in stranger.cwd.iterdir()] == ["uploader-shapes"]
    assert not list(stranger.home.iterdir())
    project = stranger.cwd / "uploader-shapes"
    stranger.install(project)
    report = stranger("pytest", "-q", "-p", "no:cacheprovider", cwd=project)

    assert re.search(r"\d+ passed", report)
    assert len(stranger.commands) == 3
    # CPU time of the children: what another process does to the clock does not count.
    assert time.process_time() + sum(os.times()[2:4]) - started < 60
    assert sources(CORE) == core
    assert [path.name for path in stranger.cwd.iterdir()] == ["uploader-shapes"]


def test_check_of_a_new_format_takes_seconds(stranger: Stranger) -> None:
    stranger("uploader_core", "plugins", "new", "shapes", *SORTS["format"])
    project = stranger.cwd / "uploader-shapes"
    stranger.install(project)
    started = sum(os.times()[2:4])
    last = stranger("uploader_core", "plugins", "check", project).splitlines()[-1]
    assert "checks are fine" in last
    assert "later version" not in last
    assert sum(os.times()[2:4]) - started < 20


def test_converter_of_checkpoints_makes_its_format_from_an_adapter(stranger: Stranger) -> None:
    arguments = ("--consumes", "checkpoint", "--produces", "acme.shapes", "--name", "acme-shapes")
    stranger("uploader_core", "plugins", "new", "shapes", *arguments)
    stranger.install(stranger.cwd / "acme-shapes")
    adapter = make_adapter(stranger.cwd / "final_model", make_model(stranger.cwd / "base"))
    release = stranger.cwd / "release"
    stranger("uploader_core", "run", adapter, "--output", release, "--yes")
    # Without --plugins: the group uploader_core.defaults is written, too.
    made = sorted(path.name for path in (release / "acme.shapes").iterdir())
    assert any(name.endswith("-00001-of-00001.safetensors") for name in made)
    assert "config.json" in made
    stranger("uploader_core", "verify", release)


def test_readme_of_a_destination_tells_how_it_is_used(tmp_path: Path) -> None:
    from uploader_kit.scaffold import Blueprint, write_plugin

    folder = write_plugin(Blueprint(id="box", scheme="box"), tmp_path)
    readme = (folder / "README.md").read_text("utf-8")
    assert "uploader run ./final_model --to box:FOLDER" in readme
    assert "``" not in readme


def test_distribution_has_the_name_that_was_asked_for(tmp_path: Path) -> None:
    from uploader_kit.scaffold import Blueprint, write_plugin

    folder = write_plugin(Blueprint(id="onnx", name="acme-onnx"), tmp_path)
    assert folder == tmp_path / "acme-onnx"
    assert 'name = "acme-onnx"' in (folder / "pyproject.toml").read_text("utf-8")
    assert (folder / "src" / "acme_onnx" / "plugin.py").is_file()


def test_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    from uploader_core.errors import UsageError
    from uploader_kit.scaffold import Blueprint, write_plugin

    (tmp_path / "uploader-mine").mkdir()
    with pytest.raises(UsageError, match="exists"):
        write_plugin(Blueprint(id="mine"), tmp_path)
    assert not list((tmp_path / "uploader-mine").iterdir())


@pytest.mark.parametrize("name", ["My Plugin", "../up", "a/b", ""])
def test_name_that_is_no_id_is_refused(tmp_path: Path, name: str) -> None:
    from uploader_core.errors import UsageError
    from uploader_kit.scaffold import Blueprint, write_plugin

    with pytest.raises(UsageError, match="no plugin id"):
        write_plugin(Blueprint(id=name), tmp_path)
    assert not list(tmp_path.iterdir())
