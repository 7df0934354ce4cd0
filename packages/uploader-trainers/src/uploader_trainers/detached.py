"""A run that waits for the training's end and survives it.

The waiting process reads its standard input. Its other end is held by the training alone, so it
ends when the training does, however that happens, and the memory of the GPU is free by then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A run that was started and waits.

    Attributes:
        process: It outlives this one.
        log: The file that it writes to.
    """

    process: subprocess.Popen[bytes]
    log: Path


def command(
    folder: Path, *, to: Sequence[str], plugins: Sequence[str] = (), options: Sequence[str] = ()
) -> list[str]:
    """Return the arguments of ``uploader`` that release a final model."""
    arguments = ["run", str(folder)]
    if plugins:
        arguments += ["--plugins", ",".join(plugins)]
    for destination in to:
        arguments += ["--to", destination]
    return [*arguments, *options, "--yes"]


def start(
    folder: Path, *, to: Sequence[str], plugins: Sequence[str] = (), options: Sequence[str] = ()
) -> Waiting:
    """Start a run that begins when this process has ended.

    Args:
        folder: The final model; it has to be there by then, not now.
        to: Destinations.
        plugins: Formats, the default ones when empty.
        options: More arguments of ``uploader run``.

    Returns:
        The process that waits.
    """
    log = folder.parent / "uploader.log"
    arguments = command(folder.absolute(), to=to, plugins=plugins, options=options)
    # The end that is written to is never closed here: only the end of this process closes it.
    waits, _ = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "uploader_trainers.detached", *arguments],
                stdin=waits,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its own session: neither Ctrl-C nor the end of the terminal reaches it.
                start_new_session=os.name != "nt",
                creationflags=_detached_flags(),
            )
    finally:
        os.close(waits)
    return Waiting(process=process, log=log)


def _detached_flags() -> int:
    if os.name != "nt":
        return 0
    return int(getattr(subprocess, "DETACHED_PROCESS", 0)) | int(
        getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    )


def main() -> int:
    """Wait for the end of standard input, then run the arguments."""
    sys.stdin.buffer.read()
    from uploader_core.api import run_command_line as uploader

    arguments = sys.argv[1:]
    print("uploader", *arguments, flush=True)  # noqa: T201 - the head of the log
    sys.argv = ["uploader", *arguments]  # the manifest names the command
    return uploader(arguments)


if __name__ == "__main__":
    sys.exit(main())
