"""Tests have the folders of the sources, and documentation names no test that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path for path in (ROOT / "packages").iterdir() if path.is_dir())
# Of tests across packages, which no source folder stands for.
ACROSS = {"behaviour", "faults", "real", "repository"}


def without_source(package: Path) -> list[str]:
    """Return the test files of a distribution whose folder its sources do not have."""
    (source,) = (path.parent for path in package.glob("src/*/py.typed"))
    folders = {path.parent.relative_to(source) for path in source.rglob("*.py")}
    tests = [path.relative_to(package / "tests") for path in package.glob("tests/**/test_*.py")]
    return [path.as_posix() for path in tests if path.parent not in folders]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_folders_of_tests_are_those_of_the_sources(package: Path) -> None:
    assert without_source(package) == []


def test_folder_without_a_source_is_seen(tmp_path: Path) -> None:
    for name in ("src/acme/py.typed", "src/acme/kiln/x.py", "tests/kiln/test_x.py",
                 "tests/oven/test_y.py"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert without_source(tmp_path) == ["oven/test_y.py"]


def test_tests_across_packages_are_in_folders_that_say_why() -> None:
    found = {path.relative_to(ROOT / "tests").parts[0] for path in ROOT.glob("tests/**/test_*.py")}
    assert found == ACROSS


def test_no_two_modules_that_tests_share_have_one_name(pytestconfig: pytest.Config) -> None:
    """All suites fit into one process, where a module is imported by its name."""
    folders = [path for path in ROOT.glob("**/tests/support") if "examples" not in path.parts]
    assert {ROOT / path for path in pytestconfig.getini("pythonpath")} == set(folders)
    names = [path.stem for folder in folders for path in folder.glob("*.py")]
    assert len(names) == len(set(names))


def test_tests_that_the_documentation_names_exist() -> None:
    page = (ROOT / "docs" / "what-is-checked.md").read_text("utf-8")
    named = re.findall(r"`([\w/-]+\.py)::(\w+)", page)
    assert len(named) > 60
    gone = []
    for file, name in named:
        package, _, rest = file.partition("/")
        path = ROOT / "packages" / f"uploader-{package}" / "tests" / rest
        path = path if path.is_file() else ROOT / "tests" / file
        if not path.is_file() or f"def {name}(" not in path.read_text("utf-8"):
            gone.append(f"{file}::{name}")
    assert gone == []
