"""``uploader plugins new``: a distribution that is green before its first edit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import uploader_core

CORE = Path(uploader_core.__file__).parent


class Stranger:
    """A person with an environment of their own, in which uploader is installed."""

    def __init__(self, root: Path) -> None:
        self.cwd = root / "projects"
        self.home = root / "home"
        self.cwd.mkdir()
        self.home.mkdir()
        environment = root / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        (site,) = environment.glob("**/site-packages")
        # What is installed here, editable distributions included, is installed there.
        lines = [f"import site; site.addsitedir({path!r})" for path in sys.path if "site-" in path]
        (site / "here.pth").write_text("\n".join(lines) + "\n", "utf-8")
        self.commands: list[str] = []

    def __call__(self, module: str, *arguments: object, cwd: Path | None = None) -> str:
        variables = {"HOME": str(self.home), "PIP_NO_INDEX": "1", "PIP_NO_INPUT": "1"}
        command = [str(self.python), "-m", module, *map(str, arguments)]
        self.commands.append(" ".join(command[1:]))
        result = subprocess.run(
            command,
            cwd=cwd or self.cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def install(self, *folders: Path) -> None:
        # Without build isolation, hatchling's editable installs need a library of the environment.
        mode = ["--editable"] if find_spec("editables") else []
        targets = [part for folder in folders for part in (*mode, folder)]
        self("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", *targets)


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


def sources(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_from_new_to_green_in_three_commands_and_a_minute(stranger: Stranger) -> None:
    core = sources(CORE)
    started = time.process_time() + sum(os.times()[2:4])

    stranger("uploader_core", "plugins", "new", "shapes", "--produces", "acme.shapes")
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


def test_every_flavour_is_green_with_and_without_pytest(stranger: Stranger) -> None:
    flavours = {
        "box": ("--destination", "box"),
        "notes": ("--consumes", "adapter", "--produces", "acme.notes"),
        "thanks": ("--document",),
    }
    for name, options in flavours.items():
        stranger("uploader_core", "plugins", "new", name, *options)
    projects = [stranger.cwd / f"uploader-{name}" for name in flavours]
    stranger.install(*projects)
    report = stranger("pytest", "-q", "--import-mode=importlib", *projects)
    assert re.search(r"\d+ passed", report)
    assert "checks are fine" in stranger("uploader_core", "plugins", "check", projects[0])


def test_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    from uploader_core.errors import UsageError
    from uploader_core.scaffold import Blueprint, write_plugin

    (tmp_path / "uploader-mine").mkdir()
    with pytest.raises(UsageError, match="exists"):
        write_plugin(Blueprint(id="mine"), tmp_path)
    assert not list((tmp_path / "uploader-mine").iterdir())


@pytest.mark.parametrize("name", ["My Plugin", "../up", "a/b", ""])
def test_name_that_is_no_id_is_refused(tmp_path: Path, name: str) -> None:
    from uploader_core.errors import UsageError
    from uploader_core.scaffold import Blueprint, write_plugin

    with pytest.raises(UsageError, match="no plugin id"):
        write_plugin(Blueprint(id=name), tmp_path)
    assert not list(tmp_path.iterdir())
