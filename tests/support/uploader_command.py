"""The command, as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class Uploader:
    """Runs the installed command in a process of its own."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.environment: dict[str, str] = {}

    def argv(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]

    def variables(self) -> Mapping[str, str]:
        return {**os.environ, **self.environment}

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.cwd,
            env={**self.variables()},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
