"""Worker processes that begin with everything imported, on systems where a process can be forked.

Importing torch and transformers takes seconds, which a batch would pay for every step of every run.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from uploader_core.batch import forking
from uploader_core.machine.processes import Process, kill
from uploader_core.workers.environment import child_environment
from uploader_core.workers.pool import Workers

POSSIBLE = sys.platform == "linux"
"""On macOS a fork breaks what Apple's libraries hold; Windows has none."""


class ForkServers:
    """The processes that fork workers, one for each function that steps run.

    Args:
        environment: Variables of the runs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = child_environment(environment, (), network=False)
        self._servers: dict[str, _Server] = {}
        self._guard = threading.Lock()
        self._closed = False

    def start(self, run: str) -> Process | None:
        """Start a worker; None where it has to be started in the ordinary way.

        Args:
            run: Dotted name of what it will call.
        """
        with self._guard:
            if self._closed or not POSSIBLE:
                return None
            server = self._servers.get(run)
            if server is None or server.gone:
                if server is not None:
                    server.close()
                server = self._servers[run] = _Server(run, self._environment)
        return server.fork()

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes that fork."""
        with self._guard:
            return [server.pid for server in self._servers.values() if not server.gone]

    def close(self) -> None:
        """End the servers; workers that still run are not theirs to end."""
        with self._guard:
            self._closed = True
            for server in self._servers.values():
                server.close()


class ForkedWorkers(Workers):
    """The workers of one run of a batch.

    Args:
        environment: Variables of the run.
        logs: Folder for what workers print, or None to drop it.
        servers: Of the batch.
    """

    def __init__(
        self, environment: Mapping[str, str], logs: Path | None = None, *, servers: ForkServers
    ) -> None:
        super().__init__(environment, logs)
        self._servers = servers

    def _start(self, run: str, secrets: tuple[str, ...], *, network: bool = False) -> Process:
        # A fork has the environment of its server: no secrets, and the Hub's tools offline.
        process = None if secrets or network else self._servers.start(run)
        if process is None:
            return super()._start(run, secrets, network=network)
        self._running.add(process)
        return process


class _End:
    """How a forked worker ended, once it has."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._code = 0

    def set(self, code: int) -> None:
        self._code = code
        self._event.set()

    def wait(self, timeout: float | None) -> int | None:
        return self._code if self._event.wait(timeout) else None


class _Forked:
    """A forked worker, with what :class:`subprocess.Popen` would say of it."""

    def __init__(self, pid: int, end: _End, streams: tuple[IO[str], IO[str], IO[str]]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self._end = end

    def poll(self) -> int | None:
        return self._end.wait(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._end.wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return code

    def kill(self) -> None:
        kill(self)


class _Server:
    """One process that forks workers.

    Attributes:
        gone: Whether it has ended; another one may be started.
    """

    def __init__(self, run: str, environment: Mapping[str, str]) -> None:
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", forking.__name__, run],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment},
                start_new_session=True,
            )
        self._one_by_one = threading.Lock()
        self._answers: queue.SimpleQueue[tuple[int, _End] | None] = queue.SimpleQueue()
        self._ends: dict[int, _End] = {}
        self._forks: bool | None = None
        self.gone = False
        self._listener = threading.Thread(target=self._listen, name=f"forks {run}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self) -> Process | None:
        """Start a worker; None where this process cannot, or not any more."""
        with self._one_by_one:
            if self._forks is None:  # it is still importing
                self._forks = self._answers.get() is not None
            if not self._forks:
                return None
            pipes = [os.pipe() for _ in range(3)]
            theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
            ours = (pipes[0][1], pipes[1][0], pipes[2][0])
            try:
                socket.send_fds(self._link, [b"."], theirs)
                answer = self._answers.get()
            except OSError:
                answer = None
            for stream in theirs:
                os.close(stream)
            if answer is None:
                self._forks = False
                for stream in ours:
                    os.close(stream)
                return None
        return _Forked(*answer, (_text(ours[0], "w"), _text(ours[1], "r"), _text(ours[2], "r")))

    def close(self) -> None:
        """End it; a worker that still runs notices that its run is gone."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        said = self._link.makefile("r", encoding="ascii")
        with contextlib.suppress(OSError), self._link, said:
            for line in said:
                pid, _, code = line.strip().partition(" ")
                if code:
                    self._ends.pop(int(pid)).set(int(code))
                elif pid == forking.READY:
                    self._answers.put((0, _End()))
                elif pid == forking.PLAIN:
                    self._answers.put(None)
                else:
                    end = self._ends[int(pid)] = _End()
                    self._answers.put((int(pid), end))
        self.gone = True
        self._answers.put(None)
        for number, end in self._ends.items():  # nobody will say how these end
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(number, signal.SIGKILL)
            end.set(-signal.SIGKILL)


def _text(stream: int, mode: str) -> IO[str]:
    return os.fdopen(stream, mode, encoding="utf-8", errors="replace")
