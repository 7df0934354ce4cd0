"""What holds for an executor: fourteen cases, with real jobs of its engine on this machine."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator, Mapping
from typing import ClassVar

from uploader_core.errors import TemporaryError
from uploader_core.executor import OPEN
from uploader_kit.conformance import ConformanceError, expect
from uploader_kit.engine_jobs import EngineConformance
from uploader_kit.faults import files_below
from uploader_kit.fixtures import make_adapter, make_model
from uploader_kit.job_runs import (
    JobTrial,
    above,
    environment_of_runs,
    is_alive,
    kill,
    until,
)
from uploader_kit.job_steps import FILES, REFUSAL, write_distribution

_NAMES = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "ACME_API_KEY", "REGISTRY_PASSWORD")
_CANARY = "kit-canary-8c1d53b0"


class ExecutorConformance(EngineConformance):
    """Checks of one executor: set ``plugin``, and override :meth:`engine` where it needs one.

    Attributes:
        limit: Seconds that a run of three small files may take.
    """

    limit: ClassVar[float] = 120.0

    # -- checks --------------------------------------------------------------------------------

    def test_job_that_succeeds_gives_its_files(self) -> None:
        """A step runs as one job, and its files are in the release."""
        with self._trial("success") as trial, trial.running() as run:
            run.succeed("with nothing in its way")
            expect(trial.is_complete(), "the run succeeds, and files of the release are missing")
            times = len(trial.marks.of("working"))
            expect(times == 1, f"the step was run {times} times: say `running` of a job that runs")

    def test_error_of_a_step_arrives_as_it_is(self) -> None:
        """A step that fails ends the run in the step's own words, at the first attempt."""
        with self._trial("refusal") as trial, trial.running(refuses=True) as run:
            code = run.wait()
            expect(code == 4, f"a step that refuses ends the run with exit code {code}, not 4; it "
                   f"says: {run.said[-400:]}")  # fmt: skip
            for words in (REFUSAL, "the sky", "wait a week"):
                expect(words in run.said, f"the error of the step says {words!r}, the run does not")
            times = len(trial.marks.of("working"))
            expect(times == 1, f"a step that fails for good was tried {times} times")

    def test_killed_job_is_replaced(self) -> None:
        """Where a machine is lost, the job runs again and makes what was not finished."""
        with self._trial("killed") as trial, trial.running(waits_at=FILES[1]) as run:
            kill(above(trial.waiting(run), trial.command))
            trial.marks.let_go()
            run.succeed("when a job and its worker were killed")
            expect(trial.is_complete(), "when a job was killed, files of the release are missing")
            made = [*trial.made().values()]
            expect(made == [1, 2, 1], f"when a job was killed at the second of three files, they "
                   f"were made {made} times")  # fmt: skip

    def test_run_that_was_killed_finds_its_jobs(self) -> None:
        """The next run goes on with the jobs of one that was killed, where they survive it."""
        survives = self.the_spec().survives
        with self._trial("driver") as trial:
            with trial.running(waits_at=FILES[1]) as run:
                pid, known = trial.waiting(run), trial.submitted()
                run.process.kill()
                run.process.wait()
            if survives:
                with self._opened() as executor:
                    state = self._asked(executor, known.id).state
                    expect(state in OPEN, f"another process asks for the job {known.id}, and is "
                           f"told {state}: an id has to mean the same everywhere")  # fmt: skip
                expect(is_alive(pid), "the job ended with its run: say survives=False in the spec")
            note = trial.folder / "submitted.json"
            before = note.stat().st_mtime_ns if note.exists() else 0
            with trial.running(waits_at=FILES[1]) as again:
                if survives:
                    again.until(
                        lambda: note.exists() and note.stat().st_mtime_ns != before,
                        "the second run does not look for the job of the first",
                    )
                trial.marks.let_go()
                again.succeed("after a run that was killed")
                expect(trial.is_complete(), "after a run that was killed, files are missing")
                if survives:
                    expect("submitted again" not in again.said,
                           "the second run submits the job of the first again")  # fmt: skip
                    times = len(trial.marks.of("working"))
                    expect(times == 1, f"the step was run {times} times")

    def test_cancelled_run_leaves_nothing_running(self) -> None:
        """Ctrl+C ends the job, its worker, and what that started."""
        with self._trial("cancel") as trial:
            with trial.running(waits_at=FILES[0], starts=True) as run:
                worker = trial.waiting(run)
                run.until(lambda: trial.marks.of("started"), "a program was not started")
                job = above(worker, trial.command)[-1].pid
                program = trial.marks.of("started")[0][0]
                run.process.send_signal(signal.SIGINT)
                code = run.wait()
                expect(code not in (0, None), "a run that was cancelled ends with exit code 0")
            left = {"the job": job, "its worker": worker, "a program of the worker": program}
            until(
                lambda: not any(is_alive(pid) for pid in left.values()),
                self.patience,
                f"a run was cancelled, and {_those(left)} can still be running: cancel ends every "
                "process of a job",
            )

    def test_job_that_is_submitted_twice_is_done_once(self) -> None:
        """A job that is there is found by its key, and a second one of the key does no work."""
        with (
            self._trial("twice") as trial,
            trial.running(waits_at=FILES[1]) as run,
            self._opened() as executor,
        ):
            trial.waiting(run)
            job = trial.job()
            with self._quick("find"):
                found = executor.find(job) or ""
            expect(found, "find() of another process gives nothing for a job that runs")
            state = self._asked(executor, found).state
            expect(state in OPEN, f"find() gives a job that is {state}")
            second = self._submit(executor, job)
            with contextlib.suppress(ConformanceError):  # it may have to wait for the first
                self._until(executor, second, ("running",), 2.0)
            trial.marks.let_go()
            run.succeed("when its job was submitted a second time")
            self._until(executor, second, ("ended", "failed", "cancelled", "gone"), self.patience)
            made = trial.made()
            expect({*made.values()} == {1}, f"a job that was submitted twice made files {made}")

    def test_two_runs_of_one_plan_share_the_work(self) -> None:
        """Two runs of the same release at the same time both succeed, and nothing is done twice."""
        with (
            self._trial("two") as trial,
            trial.running(waits_at=FILES[1]) as first,
        ):
            trial.waiting(first)
            with trial.running(waits_at=FILES[1]) as second:
                second.until(
                    lambda: (
                        "works in this release" in second.said or second.process.poll() is not None
                    ),
                    "the second run does not wait for the first",
                )
                trial.marks.let_go()
                first.succeed("with a second run of the same plan")
                second.succeed("as the second run of the same plan")
            made = trial.made()
            expect({*made.values()} == {1}, f"two runs of one plan made files {made}")

    def test_no_secret_reaches_a_job(self) -> None:
        """Tokens of the run are in no variable, argument or file of a job."""
        secrets = {name: f"{_CANARY}-{name.lower()}" for name in _NAMES}
        with (
            self._trial("secrets") as trial,
            trial.running(environment=secrets, waits_at=FILES[1]) as run,
        ):
            worker = trial.waiting(run)
            for process in above(worker, trial.command):
                with contextlib.suppress(OSError):
                    told = " ".join([*process.cmdline(), *process.environ().values()])
                    expect(_CANARY not in told, f"a token of the run is in a variable or an "
                           f"argument of {process.name()}: give a job job.environment and no "
                           "more")  # fmt: skip
            _expect_untold(trial)
            trial.marks.let_go()
            run.succeed("with tokens in its environment")
            _expect_untold(trial)

    def test_store_that_goes_away_is_told(self) -> None:
        """A job folder that is away for a while harms nothing; for good, the error names it."""
        with self._trial("away") as trial, trial.running(waits_at=FILES[1]) as run:
            trial.waiting(run)
            with self._opened() as executor, _away(trial) as known:
                with contextlib.suppress(TemporaryError):
                    state = self._asked(executor, known).state
                    expect(state in OPEN, "the folder of a job is away for a moment, and poll() "
                           f"says {state}")  # fmt: skip
                with contextlib.suppress(TemporaryError), self._quick("logs"):
                    executor.logs(known, 3)
            trial.marks.let_go()
            run.succeed("when the folder of its job was away for a while")
            expect(trial.is_complete(), "the folder of a job was away, and files are missing")
        with self._trial("lost") as trial, trial.running(waits_at=FILES[1]) as run:
            trial.waiting(run)
            folder = trial.folder
            folder.rename(trial.root / "away")
            folder.touch()  # as a stale handle: nothing below it can be read, written or made
            trial.marks.let_go()
            code = run.wait()
            expect(code != 0, "the folder of its job is gone, and the run succeeds")
            expect("UPL-UNEXPECTED" not in run.said, f"the folder of its job is gone, and the run "
                   f"ends with an unexpected error: {run.said[-400:]}")  # fmt: skip
            expect(folder.name in "".join(run.said.split()), f"the folder of its job is gone, and "
                   f"the error does not name it: {run.said[-400:]}")  # fmt: skip

    # -- inside --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _trial(self, name: str) -> Iterator[JobTrial]:
        """Give a release to make; jobs that are left over end with it."""
        shared = self.root("shared")
        source, site = shared / "final_model", shared / "site"
        if not site.is_dir():
            make_adapter(source, make_model(shared / "base"))
            write_distribution(site)
        root = self.root(name)
        trial = JobTrial(
            root=root,
            source=source,
            executor=self.the_spec().name,
            environment=environment_of_runs(site, self._variables()),
            limit=self.limit,
        )
        try:
            yield trial
        finally:
            shutil.rmtree(trial.marks.folder, ignore_errors=True)


@contextlib.contextmanager
def _away(trial: JobTrial) -> Iterator[str]:
    """Take the folder of a trial's job away; give the job's id."""
    folder, known = trial.folder, trial.submitted().id
    aside = trial.root / "away"
    folder.rename(aside)
    try:
        yield known
    finally:
        if folder.parent.exists() and not folder.exists():
            aside.rename(folder)


def _expect_untold(trial: JobTrial) -> None:
    """Raise where a token is in a file of the release."""
    for path in files_below(trial.release, records=True):
        with contextlib.suppress(OSError):  # of files that come and go
            told = _CANARY.encode() in path.read_bytes()
            expect(not told, f"a token of the run is in {path.relative_to(trial.release)}")


def _those(processes: Mapping[str, int]) -> str:
    return ", ".join(f"{what} ({pid})" for what, pid in processes.items())
