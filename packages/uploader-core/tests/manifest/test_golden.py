"""Manifests that earlier versions wrote: whoever has one can check and read it for ever.

``golden/DATE`` is what the code of that day made of ``golden/source``: a release folder, or of
2026-11-28 a destination with a file of somebody else's that its owner kept. A folder is added when
a manifest gets new members, and none is ever changed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from manifest_schema import schema_problems
from uploader_core.api import verify

GOLDEN = Path(__file__).parent / "golden"
RELEASES = sorted(GOLDEN.glob("20*"))
of_each_version = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)


def test_there_is_one_of_each_set_of_members() -> None:
    members = [frozenset(json.loads((r / "upload_manifest.json").read_text())) for r in RELEASES]
    assert "loads" not in members[0]
    assert {"loads", "kept"} <= members[1]
    assert "publications" in members[2]
    assert {"chat_template", "policy", "detached"} <= members[3]


@pytest.mark.usefixtures("notes_plugin")
def test_members_that_are_written_today_are_in_a_golden_file(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    uploader("run", adapter, "--plugins", "notes", "--output", tmp_path / "release")
    today = json.loads((tmp_path / "release" / "upload_manifest.json").read_text())
    golden = [json.loads((r / "upload_manifest.json").read_text()) for r in RELEASES]
    assert today.keys() <= {name for manifest in golden for name in manifest}
    in_steps = {name for manifest in golden for step in manifest["steps"] for name in step}
    assert {name for step in today["steps"] for name in step} <= in_steps


@of_each_version
def test_release_of_each_version_verifies(release: Path) -> None:
    result = verify(str(release))
    assert result.problems == ()
    assert result.files >= 12


@of_each_version
def test_changed_byte_is_found_in_each_version(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(release, copy)
    weights = copy / "merged-16bit" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert [p.path for p in verify(str(copy)).problems] == ["merged-16bit/model.safetensors"]


@of_each_version
def test_manifest_of_each_version_is_what_the_schema_says(release: Path) -> None:
    assert schema_problems(json.loads((release / "upload_manifest.json").read_text())) == []
