"""A child process that is given one request, and that says how far it is.

It is asked with JSON on standard input. Lines that begin with :data:`PROGRESS` on standard output
count its pieces, and those that begin with :data:`FOUND` have what it found so far; libraries may
write there as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from uploader_core.plugin import parse_json
from uploader_gguf.llama_cpp.child import child_environment

PROGRESS, FOUND = "progress", "found"


def say_progress(done: int, total: int) -> None:
    """Say in the child how many of its pieces are done."""
    sys.stdout.write(f"{PROGRESS} {done} {total}\n")
    sys.stdout.flush()


def say_found(data: Mapping[str, Any]) -> None:
    """Hand over in the child what is found already."""
    sys.stdout.write(f"{FOUND} {json.dumps(data)}\n")
    sys.stdout.flush()


def run_counting(
    module: str,
    request: Mapping[str, Any],
    log: Path,
    progress: Callable[[int, int], None],
    *,
    found: Callable[[Any], None] = lambda _: None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str]:
    """Run a module as a child process until it ends.

    Args:
        module: Dotted name.
        request: What it is asked.
        log: Where its standard error goes.
        progress: Called with the pieces that are done and all of them.
        found: Called with what it found so far.
        environment: Variables that it gets besides.

    Returns:
        Its exit code, and the last line of its standard output that is neither.
    """
    last = ""
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**child_environment(), **environment},
        ) as child,
    ):
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(request))
        child.stdin.close()
        for line in child.stdout:
            if line.startswith(PROGRESS):
                done, total = map(int, line.split()[1:])
                progress(done, total)
            elif line.startswith(f"{FOUND} {{") and line.endswith("\n"):
                found(parse_json(line.removeprefix(FOUND)))
            else:
                last = line
    return child.returncode, last


def last_of(log: Path) -> str:
    """Return the last line of a child's log, "" when it said nothing."""
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
