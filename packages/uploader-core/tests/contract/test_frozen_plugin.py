"""A plugin that was built against the first version of the API keeps working, untouched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from uploader_core.contract import specs
from uploader_core.contract.specs import SUPPORTED_API

FROZEN = Path(__file__).parent / "frozen_plugin"
# Fields that a spec had in version 1 without a default: the only ones that may ever be required.
REQUIRED_IN_1 = {
    "SaveSpec": {"name", "summary", "run", "consumes", "produces"},
    "ConvertSpec": {"name", "summary", "run", "consumes", "produces"},
    "DocumentSpec": {"name", "summary", "run"},
    "UploadSpec": {"name", "summary", "run", "scheme"},
    "SourceSpec": {"name", "summary", "run", "matches"},
}


@pytest.fixture
def frozen(site: Path) -> None:
    shutil.copy(FROZEN / "acme_frozen.py", site)
    info = site / "acme_frozen-1.0.dist-info"
    info.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        shutil.copy(FROZEN / name, info)


@pytest.mark.usefixtures("frozen")
def test_it_saves_converts_documents_and_uploads(uploader: Any, adapter: Path) -> None:
    there = adapter.parent / "there"
    result = uploader(
        "run", adapter, "--plugins", "frozen,acme.index", "--name", "m", "--to", f"frozen:{there}",
        "--frozen-copies", "2", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    statuses = {step["id"]: step["status"] for step in json.loads(result.stdout)["steps"]}
    assert set(statuses.values()) == {"done"}
    release = adapter.parent / "m"
    assert (release / "acme.frozen/text-1.txt").read_text() == "frozen"
    assert (there / "acme.index/index.txt").is_file()
    assert (release / "acme.frozen/NOTES.md").read_text() == "# m\n"
    assert "Frozen" in (release / "README.md").read_text()


@pytest.mark.usefixtures("frozen")
def test_it_passes_the_kit_of_today(uploader: Any) -> None:
    inspected = json.loads(uploader("plugins", "info", "frozen", "--json").stdout)
    assert inspected["state"] == "ok"
    assert len(inspected["hooks"]) == 10
    assert inspected["api"] == 1
    assert 1 in SUPPORTED_API


@pytest.mark.parametrize("name", REQUIRED_IN_1)
def test_no_spec_field_became_required(name: str) -> None:
    from dataclasses import MISSING, fields

    required = {
        field.name
        for field in fields(getattr(specs, name))
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert required == REQUIRED_IN_1[name]
