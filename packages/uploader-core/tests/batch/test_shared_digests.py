"""A file that several releases are made from is read once, as long as it stays as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.batch.shared_digests import SeenFiles, SharedDigests
from uploader_core.disk import safe_write
from uploader_core.release import source_digests


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "w").write_bytes(b"abc")
    return Artifact(
        kind="base", path=tmp_path / "base", files=(ArtifactFile(name="w", size=3, sha256=""),)
    )


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    found: list[Path] = []

    def hash_file(path: Path) -> tuple[int, str]:
        found.append(path)
        return safe_write.hash_file(path)

    monkeypatch.setattr(source_digests, "hash_file", hash_file)
    return found


def test_second_release_reads_nothing_and_remembers_as_much(
    source: Artifact, tmp_path: Path, read: list[Path]
) -> None:
    seen = SeenFiles()
    one, two = (SharedDigests(tmp_path / name, seen=seen) for name in "ab")
    assert one.fill(source) == two.fill(source)
    assert len(read) == 1
    two.save()
    assert (tmp_path / "b" / "digests.json").is_file()
    assert source_digests.SourceDigests(tmp_path / "b").knows(source)


def test_file_that_changed_is_read_again(
    source: Artifact, tmp_path: Path, read: list[Path]
) -> None:
    seen = SeenFiles()
    first = SharedDigests(tmp_path / "a", seen=seen).fill(source)
    (source.path / "w").write_bytes(b"abd")
    os.utime(source.path / "w", ns=(1, 1))
    second = SharedDigests(tmp_path / "b", seen=seen).fill(source)
    assert first.files[0].sha256 != second.files[0].sha256
    assert len(read) == 2
