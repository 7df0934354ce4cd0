"""Runs of the command in forks of one process that has everything imported: what each one cost.

``python hostile_bench.py`` reads a line of JSON for each run from standard input and answers with
one. The first run is of something sound; it is done without forks, so that whatever runs import is
there. Of every other one, and of the workers that it starts, processor time and private memory are
then what the input cost, and not what Python and its libraries cost.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

LONGEST = 60
"""Seconds of processor time after which a process is ended, and its run has failed."""

WAIT = 600
"""Seconds after which a run is ended, which may have to share the processor with others."""

MOST = 4 << 30
"""Bytes of address space beyond those of the sound run; so that none of them takes the machine."""

_IMPORTS = threading.RLock()
"""Held by who imports and by who forks: a fork would wait forever for another thread's import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: The exit code; 124 where it did not come to an end.
        said: Standard output and standard error.
        seconds: Processor time of the run and of all that it started.
        mebibytes: The most that one process of it had for itself.
    """

    code: int
    said: str
    seconds: float
    mebibytes: float


class Bench:
    """The process that forks.

    Args:
        warm_up: Arguments of a run of something sound, which imports what others will need.
        environment: Variables of all runs.
    """

    def __init__(self, warm_up: Sequence[object], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.sound = self(warm_up)

    def __call__(self, arguments: Sequence[object], cwd: Path | None = None) -> Outcome:
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"arguments": [str(a) for a in arguments], "cwd": str(cwd or Path.cwd())}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


# -- in the process that forks -------------------------------------------------------------------


def _memory(pid: int | str, field: str) -> float:
    """Return a field of a process's status in MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


class _Worker:
    """A worker that is a fork of the run, with what ``Popen`` would say of it."""

    peak = 0.0

    def __init__(self, environment: dict[str, str]) -> None:
        from uploader_core.workers import child

        ours, theirs = zip(*(reversed(os.pipe()), os.pipe(), os.pipe()), strict=True)
        self._before = _memory("self", "VmRSS")
        self._code: int | None = None
        leads, begins = os.pipe()
        with _IMPORTS:
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.write(begins, b"1")
                for number, stream in enumerate(theirs):
                    os.dup2(stream, number)
                sys.stdin, sys.stdout, sys.stderr = (
                    os.fdopen(n, m, encoding="utf-8") for n, m in ((0, "r"), (1, "w"), (2, "w"))
                )
                os.environ.clear()
                os.environ.update(environment)
                code = child.main()
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.read(leads, 1)  # who knows its number may end its group at once
        for stream in (*theirs, leads, begins):
            os.close(stream)
        modes = ("w", "r", "r")
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(n, m, encoding="utf-8", errors="replace")
            for n, m in zip(ours, modes, strict=True)
        )

    def poll(self) -> int | None:
        if self._code is None:
            _Worker.peak = max(_Worker.peak, _memory(self.pid, "VmHWM") - self._before)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            time.sleep(0.002)
        return self.poll() or 0

    def kill(self) -> None:
        os.kill(self.pid, 9)


def _fork_workers() -> None:
    from uploader_core.plugins import entry_points
    from uploader_core.workers import child, pool
    from uploader_core.workers.environment import child_environment

    usual = entry_points.import_dotted

    def import_dotted(dotted: str, owner: str) -> Any:
        with _IMPORTS:
            return usual(dotted, owner)

    for module in (entry_points, child):
        module.import_dotted = import_dotted  # type: ignore[attr-defined]

    def start(self: Any, run: str, secrets: tuple[str, ...], *, network: bool = False) -> _Worker:
        environment = child_environment(self._environment, secrets, network=network)
        process = _Worker(environment)
        self._running.add(process)
        return process

    pool.Workers._start = start  # type: ignore[assignment]


def _import_all(arguments: Sequence[str]) -> int:
    """Do a run in this process alone, its steps too."""
    from uploader_core.cli import main
    from uploader_core.workers import child, pool

    usual = pool.Workers.perform

    def perform(
        self: Any, request: Any, emit: Any = lambda _: None, *, inline: bool = False
    ) -> Any:
        child.load(request)
        return child.perform(request, emit, lambda: False)

    pool.Workers.perform = perform  # type: ignore[assignment]
    try:
        return main(arguments)
    finally:
        pool.Workers.perform = usual  # type: ignore[method-assign]


def _forked(arguments: Sequence[str], cwd: str) -> Outcome:
    from uploader_core.cli import main

    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile("w+") as memory:
        before = _memory("self", "VmRSS")
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.setsid()
                os.chdir(cwd)
                resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
                size = int(_memory("self", "VmSize") * 1024 * 1024) + MOST
                resource.setrlimit(resource.RLIMIT_AS, (size, size))
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                code = main(arguments)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                memory.write(str(max(_Worker.peak, _memory("self", "VmHWM") - before)))
                memory.flush()
                os._exit(code)
        until, ended = time.monotonic() + WAIT, 0
        while not ended and time.monotonic() < until:
            ended, status, used = os.wait4(pid, os.WNOHANG)
            time.sleep(0.002)
        if not ended:
            for process in psutil.Process(pid).children(recursive=True):
                process.kill()
            os.kill(pid, 9)
            _, status, used = os.wait4(pid, 0)
        said.seek(0)
        memory.seek(0)
        return Outcome(
            code=os.waitstatus_to_exitcode(status) if ended else 124,
            said=said.read().decode("utf-8", "replace"),
            seconds=used.ru_utime + used.ru_stime,
            mebibytes=float(memory.read() or 0),
        )


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warm = False
    for line in sys.stdin:
        asked = json.loads(line)
        if warm:
            outcome = _forked(asked["arguments"], asked["cwd"])
        else:
            code = _import_all(asked["arguments"])
            _fork_workers()
            outcome, warm = Outcome(code=code, said="", seconds=0, mebibytes=0), True
        print(json.dumps(asdict(outcome)), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
