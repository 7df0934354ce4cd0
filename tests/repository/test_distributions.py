"""What the metadata of the distributions promises to each other and to users."""

from __future__ import annotations

import re
from pathlib import Path

import importlib_metadata
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "packages").iterdir() if path.is_dir())


def requirements(name: str) -> list[Requirement]:
    return [Requirement(text) for text in importlib_metadata.requires(name) or ()]


@pytest.mark.parametrize("name", NAMES)
def test_siblings_are_capped_at_the_next_major_only(name: str) -> None:
    for requirement in (r for r in requirements(name) if r.name in NAMES):
        bounds = {s.operator: s.version for s in requirement.specifier}
        installed = Version(importlib_metadata.version(requirement.name))
        assert bounds.keys() == {">=", "<"}, str(requirement)
        assert bounds["<"] == str(installed.major + 1), str(requirement)
        assert Version(bounds[">="]) <= installed


@pytest.mark.parametrize("name", NAMES)
def test_torch_is_neither_pinned_nor_capped(name: str) -> None:
    for requirement in (r for r in requirements(name) if r.name == "torch"):
        assert {s.operator for s in requirement.specifier} == {">="}


def test_core_needs_nothing_heavy() -> None:
    needed = {r.name for r in requirements("uploader-core") if r.marker is None}
    assert needed == {
        *("click", "filelock", "importlib-metadata", "packaging", "platformdirs", "pluggy"),
        *("msgspec", "psutil", "python-dotenv", "pyyaml", "rich"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_changelog_takes_fragments(name: str) -> None:
    folder = ROOT / "packages" / name
    text = (folder / "CHANGELOG.md").read_text("utf-8")
    assert text.count("<!-- towncrier release notes start -->") == 1
    fragments = [path.name for path in folder.glob("changelog.d/*")]
    assert not [f for f in fragments if not re.fullmatch(r"\+[\w-]+\.(feature|fix|api)\.md", f)]
