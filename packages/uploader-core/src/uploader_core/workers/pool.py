"""Send a request to a worker process and bring back result or error."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from uploader_core.errors import CancelledError, StepFailedError, from_json
from uploader_core.machine.processes import Process, describe_exit, kill
from uploader_core.machine.time_limit import CANCEL, SILENCE
from uploader_core.machine.watchdog import Watchdog
from uploader_core.masking import Mask
from uploader_core.workers import child, messages
from uploader_core.workers.child import Emit
from uploader_core.workers.environment import child_environment, to_be_masked

R = TypeVar("R")


class Workers:
    """The worker processes of a run, so that all of them can be stopped.

    Args:
        environment: Variables of the run.
        logs: Folder for what workers print, or None to drop it.
        module: What a worker runs; the conformance kit has one that is watched.

    Attributes:
        stopped: Whether the run was stopped.
        remote: Whether steps may run on other machines.
    """

    remote = False
    _inline = threading.Lock()

    def __init__(
        self,
        environment: Mapping[str, str],
        logs: Path | None = None,
        *,
        module: str = "uploader_core.workers.child",
    ) -> None:
        self._environment = environment
        self._logs = logs
        self._module = module
        self._running: set[Process] = set()
        self._warm: dict[str, Process] = {}
        self._guard = threading.Lock()
        self.stopped = False

    def stop(self) -> None:
        """Tell every worker that the run was stopped, and end those that do not leave in time.

        What they finished is kept.
        """
        with self._guard:
            self.stopped = True
        self.close()
        try:
            for process in self._running.copy():
                _say(process, messages.Cancel())
            until = time.monotonic() + CANCEL.of(self._environment)
            for process in self._running.copy():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
        finally:  # a second Ctrl+C as well
            self.kill()

    def kill(self) -> None:
        """End every worker at once; what they finished is kept."""
        with self._guard:
            self.stopped = True
            for process in self._running:
                kill(process)
        self.close()

    def warm(self, run: str, owner: str) -> None:
        """Start a worker that imports what a step needs while the run still does something else.

        Args:
            run: What the step runs; the step is one without secrets and network.
            owner: Whose it is.
        """
        with self._guard:
            if self.stopped or run in self._warm:
                return
            process = self._warm[run] = self._start(run, ())
        _say(process, messages.Import(run=run, owner=owner))

    def adopt(self, others: Workers) -> None:
        """Take over the workers that others started for a step to come."""
        with self._guard:
            self._warm, others._warm = others._warm, self._warm
            self._running |= {*self._warm.values()}
            others._running -= self._running

    def close(self) -> None:
        """End what was started for a step that did not come to run."""
        with self._guard:
            warm, self._warm = self._warm, {}
            self._running -= {*warm.values()}
        for process in warm.values():
            self._end(process)

    def perform(
        self, request: messages.Request[R], emit: Emit = lambda _: None, *, inline: bool = False
    ) -> R:
        """Run a request in a worker process.

        Args:
            request: What to do.
            emit: Receives progress and warnings.
            inline: In this process instead, for what is light and needs no isolation.

        Raises:
            UploaderError: What the worker sent, or a StepFailedError that says how it died.
            PluginError: The worker's answer cannot be read.
            CancelledError: The run was stopped.
        """
        if inline and not request.secrets:  # what a step says is masked on its way from a worker
            # One at a time: two that import the same module at once can each see half of it.
            with self._inline:
                return child.perform(request, emit, lambda: self.stopped)
        with self._guard:
            if self.stopped:
                raise _stopped()
            begun = self._warm if isinstance(request, messages.RunStep) else {}
            process = begun.pop(request.run, None)
            if process is None:
                process = self._start(request.run, request.secrets, network=request.network)
        assert process.stderr is not None
        mask = Mask(to_be_masked(request.secrets, self._environment))
        tail = _Tail(process.stderr, self._log_file(request.step), mask)
        silence, most = SILENCE.of(self._environment), request.limit.of(self._environment)
        try:
            with Watchdog(process.pid, silence, most, lambda: kill(process)) as watchdog:
                return self._converse(process, request, emit, tail, watchdog, mask)
        finally:
            with self._guard:
                self._running.discard(process)
            self._end(process, tail)

    def _start(self, run: str, secrets: tuple[str, ...], *, network: bool = False) -> Process:
        """Start a worker for what ``run`` names."""
        process: Process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=child_environment(self._environment, secrets, network=network),
            start_new_session=os.name != "nt",
        )
        self._running.add(process)
        return process

    @staticmethod
    def _end(process: Process, tail: _Tail | None = None) -> None:
        kill(process)
        process.wait()
        if tail is not None:
            tail.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _converse(
        self,
        process: Process,
        request: messages.Request[R],
        emit: Emit,
        tail: _Tail,
        watchdog: Watchdog,
        mask: Mask,
    ) -> R:
        assert process.stdout is not None
        _say(process, request)
        for line in process.stdout:
            watchdog.heard()
            try:
                message = messages.from_line(mask(line))
            except ValueError:
                continue
            if isinstance(message, messages.Answer):
                return request.read(message.result)
            if isinstance(message, messages.Failed):
                raise _stopped() if self.stopped else from_json(_renamed(message.error, request))
            emit(message)
        code = process.wait()
        tail.join()
        if self.stopped:
            raise _stopped()
        if watchdog.bit:
            what = f"{request.step} {watchdog.bit}"
            limit = SILENCE if watchdog.bit.startswith("hangs") else request.limit
            advice = f"run the same command again; {limit.variable} waits longer, 0 for ever"
        else:
            what = f"{request.step} ended without a result: its worker {describe_exit(code)}"
            advice = _advice(code, tail.last)
        raise StepFailedError(
            what,
            owner=request.owner,
            safe="finished steps are kept; no half-written file has a final name",
            next=advice,
        )

    def _log_file(self, step: str) -> Path:
        if self._logs is None:
            return Path(os.devnull)
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / (re.sub(r"[^\w.-]+", "-", step) + ".log")


class _Tail:
    """Keep what a worker prints: all of it in a file, the last lines for an error."""

    def __init__(self, printed: IO[str], path: Path, mask: Mask) -> None:
        self._lines: deque[str] = deque(maxlen=3)
        self._mask = mask
        self._thread = threading.Thread(target=self._read, args=(printed, path), daemon=True)
        self._thread.start()

    @property
    def last(self) -> str:
        # A copy: what outlives its parent may go on printing.
        return " | ".join(line for line in self._lines.copy() if line)

    def join(self) -> None:
        self._thread.join(timeout=5)

    def _read(self, printed: IO[str], path: Path) -> None:
        with contextlib.suppress(OSError), path.open("w", encoding="utf-8") as log:
            for line in map(self._mask, printed):
                self._lines.append(line.rstrip())
                log.write(line)
        # Where the disk is full: a pipe that nobody reads stops who prints.
        deque(printed, maxlen=0)


def _renamed(error: Mapping[str, Any], request: messages.Request[Any]) -> Mapping[str, Any]:
    """Name variables as they are called here, where a target keeps a secret in another one."""
    for seen, held in (name.split("=") for name in request.secrets if "=" in name):
        error = {k: v.replace(seen, held) if isinstance(v, str) else v for k, v in error.items()}
    return error


def _stopped() -> CancelledError:
    return CancelledError("the run was stopped")


def _say(process: Process, message: object) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code says how
        process.stdin.write(messages.to_line(message))
        process.stdin.flush()


def _advice(code: int, last: str) -> str:
    said = f" (it last said: {last})" if last else ""
    if code == -signal.SIGKILL if os.name != "nt" else False:
        return "it was probably out of memory: close other programs and run it again" + said
    return "run the same command again; if it stays, see .uploader/logs" + said
