"""A terminal of a given size with a program in it: type keys, read the screen."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOWN, ENTER, SPACE, CTRL_C = "\x1b[B", "\r", " ", "\x03"
ASKED = "\x1b[6n"


class Terminal:
    """Runs a program in a pseudo-terminal and keeps what its screen shows.

    Args:
        argv: Program and arguments.
        cwd: Its working folder.
        columns: Width.
        lines: Height; the whole of a short session fits.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path, *, columns: int = 80, lines: int = 60, **env: str
    ) -> None:
        import pexpect
        import pyte

        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self._last = ""
        self._child: Any = pexpect.spawn(
            argv[0], list(argv[1:]), cwd=str(cwd), dimensions=(lines, columns), encoding="utf-8",
            env={**os.environ, "TERM": "xterm-256color", **env}, timeout=None,
        )  # fmt: skip

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def read(self, seconds: float = 0.1) -> bool:
        """Take what comes; return whether the program still runs."""
        import pexpect

        try:
            text = self._child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        # Asked where the cursor is, a terminal answers; a question may come in two parts.
        if ASKED in self._last + text:
            self._child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        self._last = text[1 - len(ASKED) :]
        self._stream.feed(text)
        return True

    def wait_for(self, text: str, seconds: float = 300.0) -> str:
        """Read until the screen shows a text."""
        deadline = time.monotonic() + seconds
        while text not in self.text():
            assert self.read(), f"it ended without {text!r}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {text!r} on the screen:\n{self.text()}"
        return self.text()

    def type(self, *keys: str) -> None:
        for key in keys:
            self._child.send(key)

    def end(self, seconds: float = 300.0) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.text()}"
        self._child.close()
        return int(self._child.exitstatus)
