"""The licences of the base go with every artifact, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uploader_core.builtin.companions import write
from uploader_core.plugin import Artifact, ArtifactFile, OutputFolder, ReleaseInfo, StepContext


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: llama3.1\n---\n")
    (folder / "LICENSE").write_text("Do what you like.\n")
    (folder / "USE_POLICY.md").write_text("Be kind.\n")
    return folder


def written(base: Path, *has: str) -> dict[str, str]:
    """Return what is put beside an artifact that has some files."""
    out = base.parent / "out"
    files = tuple(ArtifactFile(name=name, size=1, sha256="0" * 64) for name in has)
    context: Any = StepContext(
        step="dir:lineage",
        inputs=(Artifact(kind="x", path=out, files=files),),
        settings=None,
        release=ReleaseInfo(name="tiny", source="adapter"),
        output=OutputFolder(out, base.parent / "scratch"),
        work=base.parent / "work",
        sources={"base": base},
    )
    write(context)
    return {p.name: p.read_text() for p in out.iterdir()} if out.is_dir() else {}


def test_licence_and_policy_travel_with_what_is_made_of_the_base(base: Path) -> None:
    made = written(base)
    assert made["LICENSE"] == "Do what you like.\n"
    assert made["USE_POLICY.md"] == "Be kind.\n"


def test_file_that_the_artifact_brings_is_left_alone(base: Path) -> None:
    assert "LICENSE" not in written(base, "LICENSE")


def test_licence_that_wants_a_notice_gets_one(base: Path) -> None:
    assert written(base)["NOTICE"].startswith("Llama 3.1 is licensed under the Llama 3.1 Community")


def test_notice_of_the_base_is_kept_as_it_is(base: Path) -> None:
    (base / "NOTICE.txt").write_text("Theirs.\n")
    made = written(base)
    assert made["NOTICE.txt"] == "Theirs.\n"
    assert "NOTICE" not in made


def test_other_licences_get_no_notice(base: Path) -> None:
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert "NOTICE" not in written(base)


def test_link_out_of_the_folder_is_no_licence(base: Path) -> None:
    (base.parent / "private.txt").write_text("mine")
    (base / "COPYING").symlink_to(base.parent / "private.txt")
    assert "COPYING" not in written(base)
