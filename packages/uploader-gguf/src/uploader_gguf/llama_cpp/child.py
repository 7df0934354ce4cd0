"""A module that runs llama.cpp in a child process and answers lines with lines."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading


class Child:
    """The process of one module; a context manager.

    Args:
        module: ``package.module``, which reads lines and writes one for each.
        timeout: Seconds for an answer; then the process is killed.
    """

    def __init__(self, module: str, *, timeout: float) -> None:
        self._module = module
        self._timeout = timeout
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._said_before = 0
        self.late = False
        """Whether the last line was not answered in time."""

    def __enter__(self) -> Child:
        # In a file: llama.cpp says more than a pipe holds.
        self._log = self._stack.enter_context(tempfile.TemporaryFile("a+b"))
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
        self._stack.close()

    def start(self) -> bool:
        """Start it where it does not run, and return whether that was so."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._said_before = os.fstat(self._log.fileno()).st_size
        self._process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                encoding="utf-8",
                env=child_environment(),
            )
        )
        return True

    def read(self) -> str:
        """Return the next line of a process that was started, "" when it ended."""
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.readline()

    def exchange(self, line: str) -> str:
        """Send a line to the process that runs and return its answer, "" when it ended instead."""
        process = self._process
        assert process is not None and process.stdin is not None
        self._said_before = os.fstat(self._log.fileno()).st_size
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._timeout, end)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended before; its log says why
                process.stdin.write(line + "\n")
                process.stdin.flush()
            answer = self.read()
            if not answer:
                process.wait()
        finally:
            timer.cancel()
        self.late = late.is_set()
        return answer

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        return None if self._process is None else self._process.poll()

    def said(self) -> str:
        """Return what it wrote on standard error since the last line, or since it was started."""
        self._log.seek(self._said_before)
        return self._log.read().decode("utf-8", errors="replace")


def child_environment() -> dict[str, str]:
    """Return the environment for a child that runs llama.cpp.

    When an assertion of its own fails, llama.cpp would call a debugger, which takes long and writes
    on standard output.
    """
    return {**os.environ, "GGML_NO_BACKTRACE": "1"}
