"""A person who writes a plugin, with an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


class Stranger:
    """A person with an environment of their own, in which uploader is installed."""

    def __init__(self, root: Path) -> None:
        self.cwd = root / "projects"
        self.home = root / "home"
        self.cwd.mkdir()
        self.home.mkdir()
        environment = root / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        (site,) = environment.glob("**/site-packages")
        # What is installed here, editable distributions included, is installed there.
        lines = [f"import site; site.addsitedir({path!r})" for path in sys.path if "site-" in path]
        (site / "here.pth").write_text("\n".join(lines) + "\n", "utf-8")
        self.commands: list[str] = []
        for module, name in (("pip", "pip"), ("pytest", "pytest"), ("uploader_core", "uploader")):
            script = self.python.with_name(name)
            script.write_text(f'#!/bin/sh\nexec "{self.python}" -m {module} "$@"\n', "utf-8")
            script.chmod(0o755)

    def __call__(self, module: str, *arguments: object, cwd: Path | None = None) -> str:
        command = [str(self.python), "-m", module, *map(str, arguments)]
        self.commands.append(" ".join(command[1:]))
        return self._run(command, cwd or self.cwd)

    def types(self, line: str, cwd: Path) -> str:
        """Run a line of a shell."""
        return self._run(["sh", "-ec", line], cwd)

    def _run(self, command: list[str], cwd: Path) -> str:
        variables = {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(self.python.parent), os.environ["PATH"]]),
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as its option: no isolation
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
        }
        result = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def install(self, *folders: Path) -> None:
        # Without build isolation, hatchling's editable installs need a library of the environment.
        mode = ["--editable"] if find_spec("editables") else []
        targets = [part for folder in folders for part in (*mode, folder)]
        self("pip", "install", "--quiet", *targets)
