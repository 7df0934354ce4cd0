"""The executor against a real Slurm: what the conformance kit does not ask of every engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slurm_jobs import await_state, await_that, opened, shell_job
from uploader_core.plugin import (
    ExecutorContext,
    JobResources,
    RefusedError,
    TemporaryError,
)
from uploader_kit.job_runs import is_alive
from uploader_slurm.commands import Commands
from uploader_slurm.executor import SlurmExecutor, open_executor
from uploader_slurm.loopback import PREEMPTING, LoopbackCluster
from uploader_slurm.settings import SlurmSettings


def waits_once(folder: Path) -> str:
    """Return a script that waits, unless ``again`` was there before it said that it had begun."""
    return f"test -e {folder}/again; again=$?; echo start; test $again = 0 || exec sleep 600"


def test_a_job_is_found_by_its_key_until_it_has_ended(slurm: SlurmExecutor, tmp_path: Path) -> None:
    job = shell_job(tmp_path, "echo done; read x </dev/null; exec sleep 600", key="uploader-77")
    job_id = slurm.submit(job)
    assert slurm.find(job) == job_id
    assert slurm.find(shell_job(tmp_path / "another", "true", key="uploader-77")) is None
    slurm.cancel([job_id])
    await_state(slurm, job_id, "cancelled")
    assert slurm.find(job) is None


def test_a_requeued_job_starts_again_under_its_id(
    cluster: LoopbackCluster, slurm: SlurmExecutor, tmp_path: Path
) -> None:
    script = waits_once(tmp_path)
    job_id = slurm.submit(shell_job(tmp_path, script))
    await_that(lambda: "start" in slurm.logs(job_id, 5))
    (tmp_path / "again").touch()
    cluster.run("scontrol", "requeue", job_id.split(" ")[0])
    await_state(slurm, job_id, "ended")
    assert slurm.logs(job_id, 9).count("start") == 2


def test_a_job_that_makes_way_for_an_urgent_one_is_not_lost(
    cluster: LoopbackCluster, slurm: SlurmExecutor, tmp_path: Path
) -> None:
    script = waits_once(tmp_path)
    all_of_it = JobResources(cpus=4, memory=1 << 20)
    job_id = slurm.submit(shell_job(tmp_path, script, resources=all_of_it))
    await_that(lambda: "start" in slurm.logs(job_id, 5))
    (tmp_path / "again").touch()
    cluster.run("sbatch", f"--partition={PREEMPTING}", "--cpus-per-task=4", "--mem=10",
                f"--output={tmp_path}/urgent", "--wrap=true")  # fmt: skip
    await_that(lambda: slurm.logs(job_id, 9).count("start") == 2)
    await_state(slurm, job_id, "ended")


def test_cancelling_ends_all_processes_of_a_job(slurm: SlurmExecutor, tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/child; wait"
    job_id = slurm.submit(shell_job(tmp_path, script))
    await_that(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text()))
    child = int((tmp_path / "child").read_text())
    assert is_alive(child)
    slurm.cancel([job_id])
    await_state(slurm, job_id, "cancelled")
    await_that(lambda: not is_alive(child))


def test_cancelling_what_has_ended_or_is_forgotten_is_no_error(
    slurm: SlurmExecutor, tmp_path: Path
) -> None:
    job_id = slurm.submit(shell_job(tmp_path, "true"))
    await_state(slurm, job_id, "ended")
    slurm.cancel([job_id, f"987654 {tmp_path}"])


def test_a_job_that_slurm_does_not_know_is_gone(slurm: SlurmExecutor, tmp_path: Path) -> None:
    forgotten = f"987654 {tmp_path}"
    assert slurm.poll([forgotten])[forgotten].state == "gone"


def test_why_a_job_waits_is_in_slurms_words(
    cluster: LoopbackCluster, slurm: SlurmExecutor, tmp_path: Path
) -> None:
    cluster.drain("node0")
    try:
        job_id = slurm.submit(shell_job(tmp_path, "true"))
        await_that(lambda: "ReqNodeNotAvail" in slurm.poll([job_id])[job_id].what)
        assert slurm.poll([job_id])[job_id].state == "waiting"
    finally:
        cluster.resume("node0")
    await_state(slurm, job_id, "ended")


def test_a_controller_that_is_away_ends_no_job(
    cluster: LoopbackCluster, slurm: SlurmExecutor, tmp_path: Path
) -> None:
    job_id = slurm.submit(shell_job(tmp_path, f"until test -e {tmp_path}/go; do sleep 0.1; done"))
    await_state(slurm, job_id, "running")
    cluster.stop_controller()
    try:
        with pytest.raises(TemporaryError, match="squeue"):
            slurm.poll([job_id])
    finally:
        cluster.start_controller()
    assert slurm.poll([job_id])[job_id].state == "running"
    (tmp_path / "go").touch()
    await_state(slurm, job_id, "ended")


def test_after_a_submission_in_doubt_the_job_is_looked_for(
    slurm: SlurmExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller took the job, and its answer was lost."""
    run = Commands.run

    def lose_the_answer(commands: Commands, *command: str, cwd: Path | None = None) -> str:
        run(commands, *command, cwd=cwd)
        raise TemporaryError("Socket timed out on send/recv operation")

    job = shell_job(tmp_path, "exec sleep 600")
    with monkeypatch.context() as patched:
        patched.setattr(Commands, "run", lose_the_answer)
        with pytest.raises(TemporaryError):
            slurm.submit(job)
    job_id = slurm.submit(job)
    number = int(job_id.split(" ")[0])
    after = slurm.submit(shell_job(tmp_path / "next", "true", key="uploader-next"))
    assert int(after.split(" ")[0]) == number + 1
    slurm.cancel([job_id])


def test_nothing_of_the_node_or_of_the_run_comes_into_a_job(
    cluster: LoopbackCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_RUN", "1")
    monkeypatch.setenv("SBATCH_EXPORT", "ALL")
    monkeypatch.setenv("SLURM_JOB_NAME", "of the run's own job")
    context = ExecutorContext(settings=None, environment={**os.environ, **cluster.environment})
    slurm = open_executor(context)
    job_id = slurm.submit(shell_job(tmp_path, "env -0 | tr '\\0' '\\n'", environment={"A": "1 ü"}))
    await_state(slurm, job_id, "ended")
    lines = slurm.logs(job_id, 500).splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert "A=1 ü" in lines
    assert not names & {"OF_THE_RUN", "HOME", "SHELL", "USER"}
    assert "SLURM_JOB_NAME=of the run's own job" not in lines


def test_lines_of_setup_are_run_before_the_command(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    settings = SlurmSettings(setup=('export A="it\'s set"',))
    slurm = opened(cluster, settings)
    job_id = slurm.submit(shell_job(tmp_path, "echo $A"))
    await_state(slurm, job_id, "ended")
    assert slurm.logs(job_id, 1) == "it's set"


@pytest.mark.parametrize(
    ("settings", "resources", "said"),
    [
        (SlurmSettings(), JobResources(cpus=5), "5 processors, and partition short has nodes of"),
        (SlurmSettings(), JobResources(memory=1 << 34), "17408 MiB of memory"),
        (SlurmSettings(), JobResources(seconds=7200), "--slurm-partition long can"),
        (SlurmSettings(), JobResources(seconds=1e6), "no other partition can either"),
        (SlurmSettings(partition="lnog"), JobResources(), "takes long, short, urgent"),
        (SlurmSettings(constraint="amd"), JobResources(), "the feature amd"),
        (SlurmSettings(), JobResources(gpus=1, gpu_memory=10**10), "--slurm-gpu-constraints 10GB="),
        (
            SlurmSettings(gpu_constraints=("40GiB=a100-80",)),
            JobResources(gpus=1, gpu_memory=10**10),
            "1 GPU, and partition short has nodes of at most 0",
        ),
    ],
)
def test_what_no_node_can_give_is_refused(
    cluster: LoopbackCluster, settings: SlurmSettings, resources: JobResources, said: str
) -> None:
    (refusal,) = opened(cluster, settings).check(resources)
    assert said in refusal


def test_what_a_node_can_give_is_not_refused(cluster: LoopbackCluster) -> None:
    slurm = opened(cluster, SlurmSettings(partition="short,long", constraint="intel&a100-80"))
    assert not [*slurm.check(JobResources(cpus=4, memory=1 << 32, seconds=7200))]


def test_what_slurm_does_not_take_is_refused_in_its_words(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    slurm = opened(cluster, SlurmSettings(options=("reservation=lab",)))
    with pytest.raises(RefusedError, match=r"(?i)reservation"):
        slurm.submit(shell_job(tmp_path, "true"))


def test_a_machine_without_slurm_is_refused() -> None:
    with pytest.raises(RefusedError, match="this machine has no sbatch"):
        open_executor(ExecutorContext(settings=None, environment={"PATH": "/nowhere"}))
