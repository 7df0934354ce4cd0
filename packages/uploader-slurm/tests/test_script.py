"""The script that sbatch gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slurm_jobs import shell_job
from uploader_core.plugin import JobResources, UsageError
from uploader_slurm.limits import ask
from uploader_slurm.script import text, write
from uploader_slurm.settings import SlurmSettings


def script(folder: Path, settings: SlurmSettings, resources: JobResources) -> list[str]:
    job = shell_job(folder, "true", resources=resources)
    return text(job, ask(settings, resources), settings, folder).splitlines()


def test_settings_and_needs_become_options(tmp_path: Path) -> None:
    settings = SlurmSettings(
        partition="gpu,long",
        account="nlp",
        qos="low",
        constraint="ib",
        gpu_constraints=("80GB=a100-80",),
        options=("reservation=lab", "exclusive"),
    )
    needs = JobResources(cpus=4, memory=1 << 30, gpus=1, gpu_memory=10**10, seconds=3600)
    lines = script(tmp_path, settings, needs)
    for option in (
        "partition=gpu,long", "account=nlp", "qos=low", "constraint='ib&a100-80'", "exclusive",
        "cpus-per-task=4", "mem=2048M", "gpus-per-node=1", "time=60", "reservation=lab", "requeue",
    ):  # fmt: skip
        assert f"#SBATCH --{option}" in lines


def test_what_nobody_asks_for_is_left_to_the_cluster(tmp_path: Path) -> None:
    lines = script(tmp_path, SlurmSettings(), JobResources())
    options = {line.split("--")[1].split("=")[0] for line in lines if line.startswith("#SBATCH")}
    assert not options & {"partition", "account", "qos", "constraint", "mem", "time", "wckey",
                          "gpus-per-node", "comment"}  # fmt: skip


def test_the_command_takes_the_place_of_the_script_that_starts_it(tmp_path: Path) -> None:
    """Signals of scancel and of the time limit reach it then, and no shell is between."""
    lines = script(tmp_path, SlurmSettings(setup=("module load x",)), JobResources())
    assert lines[-1] == "exec /bin/sh -c true"
    assert lines.index("module load x") < len(lines) - 1


def test_names_and_variables_of_a_run_harm_no_job(tmp_path: Path) -> None:
    folder = tmp_path / "it's a 100% $(touch x)"
    job = shell_job(
        folder,
        f"cd '{tmp_path}'; echo \"$A\" > out",
        environment={"A": "a\nb $x", "SLURM_NTASKS": "9"},
    )
    place = write(job, ask(SlurmSettings(), job.resources), SlurmSettings())
    subprocess.run(["bash", "job.sh"], cwd=place, env={"A": "1"}, check=True)
    assert (tmp_path / "out").read_text() == "1\n"
    given = (place / "environment").read_bytes()
    assert b"A=a\nb $x\0" in given
    assert b"SLURM_NTASKS" not in given


@pytest.mark.parametrize("option", ["export=ALL", "--output=/tmp/x", "wrap=true", ""])
def test_options_that_the_executor_decides_are_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match="is decided by the executor"):
        script(tmp_path, SlurmSettings(options=(option,)), JobResources())
