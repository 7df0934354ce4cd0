"""The plugin as the command shows it."""

from __future__ import annotations

from pathlib import Path

from uploader_command import Uploader


def test_an_option_without_its_executor_says_which(uploader: Uploader, tmp_path: Path) -> None:
    result = uploader("run", tmp_path, "--slurm-partition", "long")
    assert result.returncode == 2
    assert "add --executor slurm" in result.stderr


def test_help_shows_the_options_of_an_executor_that_is_named(uploader: Uploader) -> None:
    assert "--slurm-partition" in uploader("run", "--executor", "slurm", "--help").stdout


def test_a_machine_without_slurm_is_told(uploader: Uploader, tmp_path: Path) -> None:
    uploader.environment["PATH"] = str(tmp_path)
    result = uploader("run", tmp_path, "--executor", "slurm")
    assert result.returncode == 4
    assert "this machine has no sbatch" in result.stderr
