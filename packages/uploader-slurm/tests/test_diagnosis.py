"""What the doctor says of Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_slurm.diagnosis import diagnose
from uploader_slurm.loopback import LoopbackCluster


def test_version_and_partitions_are_said(
    cluster: LoopbackCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    (found,) = diagnose(online=True)
    assert found.level == "ok"
    assert "partitions long, short (default), urgent" in found.what
    (offline,) = diagnose(online=False)
    assert "was not asked" in offline.what


def test_a_machine_without_slurm_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = diagnose(online=True)
    assert found.level == "ok"
    assert "no sbatch" in found.what
