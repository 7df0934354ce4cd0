"""The first-party index says what the packages say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from uploader_core.cli.plugin_index import FIRST_PARTY, Listed, read_index
from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.plugins.entry_points import ARTIFACTS, PLUGINS, SCHEMES
from uploader_core.plugins.registry import Registry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def projects() -> dict[str, dict[str, Any]]:
    """Return the packages of plugins, by id; core's own need no index."""
    found = {}
    for path in sorted(ROOT.glob("packages/*/pyproject.toml")):
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        if project["name"] != "uploader-core":
            found |= dict.fromkeys(project.get("entry-points", {}).get(PLUGINS, ()), project)
    return found


LISTED = {plugin.name: plugin for plugin in read_index(FIRST_PARTY)}


def test_every_plugin_is_listed() -> None:
    assert set(LISTED) == set(projects())


@pytest.mark.parametrize("plugin", LISTED.values(), ids=lambda plugin: plugin.name)
def test_line_says_what_the_package_says(plugin: Listed) -> None:
    project = projects()[plugin.name]
    points = project["entry-points"]
    assert plugin.requirement.name == project["name"]
    assert plugin.requirement.specifier.contains(project["version"])
    assert plugin.summary == project["description"]
    assert plugin.kinds == (*sorted(points.get(ARTIFACTS, ())),)
    assert plugin.schemes == (*sorted(points.get(SCHEMES, ())),)
    assert f"uploader-core{plugin.core}" in project["dependencies"]
    specs = Registry().load(plugin.name).specs
    made = [spec for spec in specs if isinstance(spec, SaveSpec | ConvertSpec)]
    assert {*plugin.consumes} == {k for s in made for k in s.consumes} - {*plugin.kinds}
