"""What holds for an executor whatever its jobs do: commands, limits, places, logs, refusals."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from typing import Any, ClassVar

from uploader_core.contract.settings import fields_of
from uploader_core.contract.specs import ExecutorSpec
from uploader_core.errors import UploaderError
from uploader_core.executor import Executor, ExecutorContext, Job, JobResources, JobState, JobStatus
from uploader_core.machine.time_limit import TimeLimitError, time_limit
from uploader_core.plugins.entry_points import call_light
from uploader_core.workers.environment import child_environment
from uploader_kit.conformance import ConformanceError, StepConformance, expect
from uploader_kit.job_runs import NotInTimeError, is_alive, make_job, until
from uploader_kit.trial import resolve_settings

_OVER: tuple[JobState, ...] = ("ended", "failed", "cancelled", "gone")
_WAITS = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
print(*range(1, 101), sep="\\n", flush=True)
(folder / "waiting").write_text(str(os.getpid()))
while folder.exists() and not (folder / "go").exists():
    time.sleep(0.02)
"""
"""Prints a hundred lines, and waits for its folder to go or a file in it to come."""

_COUNTS = """
import os, pathlib, sys
here = pathlib.Path(sys.argv[1]) / sys.argv[2]
now = here.with_suffix(".now")
now.touch()
here.write_text(str(len([*here.parent.glob("*.now")])))
now.unlink()
"""
"""Writes down how many of its kind are at work."""

MANY, AT_ONCE = 50, 2


class EngineConformance(StepConformance):
    """Checks of an executor's own methods; :class:`ExecutorConformance` inherits them.

    Attributes:
        shortest: The least wall time, in seconds, that the engine can enforce.
        patience: Seconds within which the engine starts a small job, ends one, or answers.
        impossible: What no machine of the engine has.
    """

    spec_type = ExecutorSpec
    shortest: ClassVar[float] = 1.0
    patience: ClassVar[float] = 30.0
    impossible: ClassVar[tuple[JobResources, ...]] = (JobResources(memory=1 << 60),)

    _stack: ClassVar[contextlib.ExitStack | None] = None
    _given: ClassVar[Mapping[str, object]] = {}
    _ids: list[str]

    @classmethod
    def engine(cls) -> AbstractContextManager[Mapping[str, object]]:
        """Start an engine on this machine and give the executor's settings for it, by field name.

        It is started once for all checks; two jobs have to have room. Override it where the
        executor needs an engine; :attr:`settings` are given otherwise.
        """
        return contextlib.nullcontext(cls.settings)

    @classmethod
    def teardown_class(cls) -> None:
        """Stop the engine."""
        stack, cls._stack = cls._stack, None
        if stack is not None:
            stack.close()
        super().teardown_class()

    # -- checks --------------------------------------------------------------------------------

    def test_command_that_fails_is_told(self) -> None:
        """A command that returns 3 failed, and one that returns 0 ended."""
        with self._opened() as executor:
            good = self._submit(executor, self._job("good", "pass"))
            bad = self._submit(executor, self._job("bad", "raise SystemExit(3)"))
            state = self._until(executor, good, _OVER, self.patience).state
            expect(state == "ended", f"poll() says {state!r} of a command that returned 0")
            state = self._until(executor, bad, _OVER, self.patience).state
            expect(state == "failed", f"poll() says {state!r} of a command that returned 3")

    def test_job_that_takes_too_long_is_ended(self) -> None:
        """The engine ends a job at its wall time, with its process, and says why."""
        folder = self.root("waiting-slow")
        job = self._job("slow", _WAITS, str(folder), seconds=self.shortest)
        with self._opened() as executor:
            id = self._submit(executor, job)
            status = self._until(executor, id, _OVER, self.shortest + self.patience)
            expect(status.state == "failed", f"poll() says {status.state!r} of a job that took "
                   f"longer than its {self.shortest:g} s, not 'failed'")  # fmt: skip
            expect(status.what, "a job took too long, and poll() does not say why it was ended")
            # On a busy machine it may have been ended before it said which process it is.
            pids = [int(mark.read_text("ascii") or 0) for mark in folder.glob("waiting")]
            until(lambda: not any(map(is_alive, pids)), self.patience, "a job took too long, and "
                  "its process is still running")  # fmt: skip
        self._let_go("slow")

    def test_impossible_resources_are_refused_with_a_reason(self) -> None:
        """What no machine has is refused in words, and what any has is not."""
        with self._opened() as executor:
            with self._quick("check"):
                usual = [*executor.check(JobResources())]
            expect(not usual, f"check() refuses a job that asks for one processor: {usual}")
            for resources in self.impossible:
                with self._quick("check"):
                    reasons = [*executor.check(resources)]
                expect(reasons, f"check() refuses nothing of {_asked(resources)}, which no machine "
                       "has: a job would wait for ever")  # fmt: skip
                expect(all(len(reason) > 20 for reason in reasons), f"check() says {reasons}: name "
                       "what is asked, what there is, and what to change")  # fmt: skip

    def test_many_jobs_run_at_most_two_at_once(self) -> None:
        """``--jobs 2`` is kept: fifty jobs are done, and two at once."""
        with self._opened() as executor:
            places = executor.places
            expect(places == AT_ONCE, f"`places` is {places} where the user said --jobs {AT_ONCE}")
            counts = self.root("counts")
            todo = [self._job(f"many-{n}", _COUNTS, str(counts), str(n)) for n in range(MANY)]
            running: set[str] = set()

            def done() -> bool:
                while todo and len(running) < places:
                    running.add(self._submit(executor, todo.pop()))
                with self._quick("poll"):
                    found = executor.poll(running)
                for status in found.values():
                    expect(status.state in ("waiting", "running", "ended"), f"one of {MANY} jobs "
                           f"that return 0 is {status.state}: {status.what}")  # fmt: skip
                running.difference_update(i for i, s in found.items() if s.state == "ended")
                return not todo and not running

            until(done, 10 * self.patience, f"{MANY} jobs are not done")
            seen = [int(path.read_text("ascii")) for path in counts.iterdir()]
            expect(len(seen) == MANY, f"{len(seen)} of {MANY} jobs were done, and all have ended")
            expect(max(seen) <= AT_ONCE, f"{max(seen)} jobs were at work at once")

    def test_last_lines_of_a_job_can_be_read(self) -> None:
        """The last lines that a job printed are there while it runs and when it has ended."""
        last = "98\n99\n100"
        with self._opened() as executor, self._waiting("prints", executor) as (id, _):
            for when in ("runs", "has ended"):
                if when == "has ended":
                    self._let_go("prints")
                    self._until(executor, id, ("ended",), self.patience)
                said: list[str] = []

                def is_told(said: list[str] = said) -> bool:
                    with self._quick("logs"):
                        said[:] = [executor.logs(id, 3).strip()]
                    return said == [last]

                with contextlib.suppress(NotInTimeError):
                    until(is_told, min(5.0, self.patience), "")
                expect(said == [last], f"a job that {when} printed 1 to 100, and logs() of the "
                       f"last 3 lines gives {said[0]!r}")  # fmt: skip

    # -- inside --------------------------------------------------------------------------------

    @classmethod
    def _engine_settings(cls) -> Mapping[str, object]:
        """Start the engine unless it was, and return the settings for it."""
        if cls._stack is None:
            stack = contextlib.ExitStack()
            cls._given = stack.enter_context(cls.engine())
            cls._stack = stack
        return cls._given

    def _variables(self) -> dict[str, str]:
        """Return the settings as variables of a run."""
        settings = self.the_spec().settings
        found = {}
        for field in () if settings is None else fields_of(self.plugin, settings):
            value: Any = self._engine_settings().get(field.name)
            if value is not None:
                many = isinstance(value, (list, tuple))
                found[field.variable] = ",".join(map(str, value)) if many else str(value)
        return found

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Executor]:
        """Open the executor in this process, for two jobs at once."""
        spec, plugin = self.the_spec(), self.load()
        context = ExecutorContext(
            settings=resolve_settings(plugin, spec, self._engine_settings()),
            environment=child_environment(os.environ, (), network=False),
            jobs=AT_ONCE,
        )
        executor: Executor = call_light(spec.run, plugin.entry.owner, context)
        self._ids = []
        try:
            yield executor
        finally:
            with contextlib.suppress(UploaderError, ConformanceError), self._quick("cancel"):
                executor.cancel(self._ids)  # where a check failed, one may be at work
            with self._quick("close"):
                executor.close()

    @contextlib.contextmanager
    def _quick(self, method: str) -> Iterator[None]:
        """Refuse a method that does not return, or raises what a run does not expect."""
        try:
            with time_limit(self.patience):
                yield
        except TimeLimitError:
            raise ConformanceError(
                f"{method}() had not returned after {self.patience:g} s: ask the engine with a "
                "time limit, and raise TemporaryError"
            ) from None
        except (UploaderError, ConformanceError):
            raise
        except Exception as error:
            raise ConformanceError(
                f"{method}() raises {type(error).__name__}: {error}; raise TemporaryError for what "
                "may pass, and another error of uploader_core.plugin with cause and advice for "
                "what does not"
            ) from error

    def _job(self, name: str, code: str, *arguments: str, seconds: float | None = None) -> Job:
        folder = self.root(f"job-{name}")
        argv = (sys.executable, "-S", "-c", code, *arguments)
        job = make_job(f"uploader-{folder.parent.stat().st_ino:x}-{name}", folder, argv, os.environ)
        return replace(job, resources=JobResources(seconds=seconds))

    def _submit(self, executor: Executor, job: Job) -> str:
        with self._quick("submit"):
            id = executor.submit(job)
        expect(isinstance(id, str) and id, f"submit() returns {id!r}, and not an id")
        self._ids.append(id)
        return id

    @contextlib.contextmanager
    def _waiting(self, name: str, executor: Executor) -> Iterator[tuple[str, int]]:
        """Submit a job that waits, and give its id and process when it does."""
        folder = self.root(f"waiting-{name}")
        job = self._job(name, _WAITS, str(folder))
        id = self._submit(executor, job)
        try:
            mark = folder / "waiting"
            self._polling_until(executor, id, lambda: mark.is_file() and mark.read_text("ascii"))
            yield id, int(mark.read_text("ascii"))
        finally:
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        (self.root(f"waiting-{name}") / "go").touch()

    def _polling_until(self, executor: Executor, id: str, met: Any) -> None:
        def is_met() -> object:
            self._asked(executor, id)
            return met()

        until(is_met, self.patience, "a small job was not started")

    def _asked(self, executor: Executor, id: str) -> JobStatus:
        with self._quick("poll"):
            found = executor.poll([id])
        expect(id in found, f"poll() says nothing of the job {id}, which it was asked for")
        return found[id]

    def _until(
        self, executor: Executor, id: str, states: Iterable[JobState], seconds: float
    ) -> JobStatus:
        """Poll until a job is in one of some states, and return how it is."""
        seen: list[JobStatus] = []

        def is_there() -> bool:
            seen[:] = [self._asked(executor, id)]
            return seen[0].state in states

        with contextlib.suppress(NotInTimeError):
            until(is_there, seconds, "")
        said = f"{seen[0].state} {seen[0].what}".strip()
        expect(seen[0].state in states, f"after {seconds:g} s poll() says {said!r} of a "
               f"job that should be {' or '.join(states)}")  # fmt: skip
        return seen[0]


def _asked(resources: JobResources) -> str:
    """Say what is asked for besides what every job asks for."""
    usual = JobResources()
    given = {field.name: getattr(resources, field.name) for field in fields(resources)}
    return ", ".join(f"{n}={v}" for n, v in given.items() if v != getattr(usual, n))
